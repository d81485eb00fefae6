/**
 * Spans of traces that are not sampled. Each is a few fields until it ends; one that failed is then written as if it had
 * been sampled, with the ids that its children and receivers were given. Recording all of them for the sake of the few
 * that fail would cost every request as much as if it were sampled.
 */
import {
  type Attributes,
  type AttributeValue,
  type Context,
  context,
  type Exception,
  type Link,
  type Span,
  type SpanContext,
  type SpanOptions,
  type SpanStatus,
  SpanStatusCode,
  type TimeInput,
  trace,
  type Tracer,
  type TracerProvider,
} from '@opentelemetry/api'
import { type IdGenerator, RandomIdGenerator } from '@opentelemetry/sdk-trace'

/** Gives a span that is written late the ids it had from the first. */
export class PresetIds implements IdGenerator {
  readonly #random = new RandomIdGenerator()
  #next: SpanContext | undefined

  /** Runs `start`, in which one span begins and gets these ids. */
  as(ids: SpanContext, start: () => Span): Span {
    this.#next = ids
    try {
      return start()
    } finally {
      this.#next = undefined
    }
  }

  generateTraceId(): string {
    return this.#next?.traceId ?? this.#random.generateTraceId()
  }

  generateSpanId(): string {
    return this.#next?.spanId ?? this.#random.generateSpanId()
  }
}

export interface LateTracerProviderOptions {
  /** Decides; what it does not record is kept for later. */
  readonly sampling: TracerProvider
  /** Records everything; gets its ids from `ids`. */
  readonly always: TracerProvider
  readonly ids: PresetIds
}

/** A provider whose unsampled spans are exported when they fail. */
export class LateTracerProvider implements TracerProvider {
  readonly #options: LateTracerProviderOptions
  /** By scope: the code's own few names. */
  readonly #tracers = new Map<string, Tracer>()

  constructor(options: LateTracerProviderOptions) {
    this.#options = options
  }

  getTracer(name: string, version?: string): Tracer {
    const key = `${name}@${version ?? ''}`
    const known = this.#tracers.get(key)
    if (known) return known
    const { sampling, always, ids } = this.#options
    const late = always.getTracer(name, version)
    const tracer = new LateTracer(sampling.getTracer(name, version), (span, start) =>
      ids.as(span, () => start(late)),
    )
    this.#tracers.set(key, tracer)
    return tracer
  }
}

type Write = (ids: SpanContext, start: (tracer: Tracer) => Span) => Span

class LateTracer implements Tracer {
  readonly #sampling: Tracer
  readonly #write: Write

  constructor(sampling: Tracer, write: Write) {
    this.#sampling = sampling
    this.#write = write
  }

  startSpan(name: string, options: SpanOptions = {}, parent: Context = context.active()): Span {
    const span = this.#sampling.startSpan(name, options, parent)
    if (span.isRecording()) return span
    return new LateSpan({ ids: span.spanContext(), name, options, parent, write: this.#write })
  }

  startActiveSpan<F extends (span: Span) => unknown>(name: string, fn: F): ReturnType<F>
  startActiveSpan<F extends (span: Span) => unknown>(name: string, options: SpanOptions, fn: F): ReturnType<F>
  startActiveSpan<F extends (span: Span) => unknown>(
    name: string,
    options: SpanOptions,
    parent: Context,
    fn: F,
  ): ReturnType<F>
  startActiveSpan(name: string, ...rest: readonly unknown[]): unknown {
    const fn = rest.at(-1) as (span: Span) => unknown
    const options = (rest.length > 1 ? rest[0] : {}) as SpanOptions
    const parent = (rest.length > 2 ? rest[1] : context.active()) as Context
    const span = this.startSpan(name, options, parent)
    return context.with(trace.setSpan(parent, span), () => fn(span))
  }
}

interface Beginning {
  readonly ids: SpanContext
  readonly name: string
  readonly options: SpanOptions
  readonly parent: Context
  readonly write: Write
}

const now = (): number => performance.timeOrigin + performance.now()

class LateSpan implements Span {
  readonly #begun: Beginning
  readonly #startTime: TimeInput
  /** What was said of it, in order; replayed when it is written. */
  #said: ((span: Span) => void)[] | undefined
  #failed = false
  #ended = false

  constructor(begun: Beginning) {
    this.#begun = begun
    this.#startTime = begun.options.startTime ?? now()
  }

  spanContext(): SpanContext {
    return this.#begun.ids
  }

  isRecording(): boolean {
    return !this.#ended
  }

  setAttribute(key: string, value: AttributeValue): this {
    return this.#say((span) => void span.setAttribute(key, value))
  }

  setAttributes(attributes: Attributes): this {
    return this.#say((span) => void span.setAttributes(attributes))
  }

  addEvent(name: string, attributesOrTime?: Attributes | TimeInput, time: TimeInput = now()): this {
    return this.#say((span) => void span.addEvent(name, attributesOrTime, time))
  }

  addLink(link: Link): this {
    return this.#say((span) => void span.addLink(link))
  }

  addLinks(links: Link[]): this {
    return this.#say((span) => void span.addLinks(links))
  }

  setStatus(status: SpanStatus): this {
    this.#failed = status.code === SpanStatusCode.ERROR
    return this.#say((span) => void span.setStatus(status))
  }

  updateName(name: string): this {
    return this.#say((span) => void span.updateName(name))
  }

  recordException(exception: Exception, time: TimeInput = now()): void {
    this.#say((span) => span.recordException(exception, time))
  }

  end(endTime: TimeInput = now()): void {
    if (this.#ended) return
    this.#ended = true
    if (!this.#failed) return
    const { ids, name, options, parent, write } = this.#begun
    const span = write(ids, (tracer) =>
      tracer.startSpan(name, { ...options, startTime: this.#startTime }, parent),
    )
    for (const say of this.#said ?? []) say(span)
    span.end(endTime)
  }

  #say(what: (span: Span) => void): this {
    if (!this.#ended) (this.#said ??= []).push(what)
    return this
  }
}
