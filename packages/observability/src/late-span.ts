/**
 * A span of a trace that is not sampled: a few fields; when it ends as failed the SDK writes it after all, under the ids that
 * its receivers were given. Were all spans the SDK's, for the sake of the few that fail, every request would cost as if it
 * were sampled.
 */
import {
  type Attributes,
  type AttributeValue,
  type Context,
  type Exception,
  type Link,
  type Span,
  type SpanContext,
  type SpanOptions,
  type SpanStatus,
  SpanStatusCode,
  type TimeInput,
} from '@opentelemetry/api'

/** How a span began; the SDK needs all of it to write the span. */
export interface SpanBeginning {
  /** What its receivers are told; a child of such a span shows its parent's. */
  readonly ids: SpanContext
  readonly name: string
  readonly options: SpanOptions
  readonly parent: Context
}

/** Makes the SDK's span. */
export type WriteSpan = (begun: SpanBeginning) => Span

/** Made by `lateTracerProvider`. */
export class LateSpan implements Span {
  readonly #begun: SpanBeginning
  readonly #write: WriteSpan
  /** Of the monotonic clock; what time it was is asked when it is written. */
  readonly #startedAt = performance.now()
  #attributes: Attributes | undefined
  #name: string | undefined
  #status: SpanStatus | undefined
  /** Events and links, which hardly any span has. */
  #more: ((span: Span) => void)[] | undefined
  #ended = false

  constructor(begun: SpanBeginning, write: WriteSpan) {
    this.#begun = begun
    this.#write = write
  }

  spanContext(): SpanContext {
    return this.#begun.ids
  }

  /** Whether its end will write it. */
  get hasFailed(): boolean {
    return this.#status?.code === SpanStatusCode.ERROR
  }

  isRecording(): boolean {
    return !this.#ended
  }

  setAttribute(key: string, value: AttributeValue): this {
    this.#attributes ??= {}
    this.#attributes[key] = value
    return this
  }

  setAttributes(attributes: Attributes): this {
    this.#attributes = { ...this.#attributes, ...attributes }
    return this
  }

  updateName(name: string): this {
    this.#name = name
    return this
  }

  /** As the SDK has it: unset is no status, and ok is final. */
  setStatus(status: SpanStatus): this {
    if (status.code !== SpanStatusCode.UNSET && this.#status?.code !== SpanStatusCode.OK)
      this.#status = status
    return this
  }

  addEvent(name: string, attributes?: Attributes | TimeInput, time: TimeInput = Date.now()): this {
    return this.#add((span) => span.addEvent(name, attributes, time))
  }

  recordException(exception: Exception, time: TimeInput = Date.now()): void {
    this.#add((span) => span.recordException(exception, time))
  }

  addLink(link: Link): this {
    return this.#add((span) => span.addLink(link))
  }

  addLinks(links: Link[]): this {
    return this.#add((span) => span.addLinks(links))
  }

  end(endTime?: TimeInput): void {
    if (this.#ended) return
    this.#ended = true
    if (this.#status?.code !== SpanStatusCode.ERROR) return
    const durationMs = performance.now() - this.#startedAt
    // Up, for `Date.now` is cut off: no span begins before what caused it.
    const startedAtMs = Math.ceil(Date.now() - durationMs)
    const { options } = this.#begun
    const span = this.#write({
      ...this.#begun,
      name: this.#name ?? this.#begun.name,
      options: { ...options, startTime: options.startTime ?? startedAtMs },
    })
    if (this.#attributes) span.setAttributes(this.#attributes)
    for (const add of this.#more ?? []) add(span)
    span.setStatus(this.#status).end(endTime ?? startedAtMs + durationMs)
  }

  #add(what: (span: Span) => void): this {
    this.#more ??= []
    this.#more.push(what)
    return this
  }
}
