/**
 * A span as a few fields. The SDK writes it when it has ended, if it is of a trace that is kept or failed, and not right then but
 * with others: the SDK's code, which runs for one request in a hundred, would be met cold by each.
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
  TraceFlags,
} from '@opentelemetry/api'

/** How a span began; the SDK needs all of it to write the span. */
export interface SpanBeginning {
  /** What its receivers are told; a child of such a span shows its parent's. */
  readonly ids: SpanContext
  readonly name: string
  readonly options: SpanOptions
  readonly parent: Context
}

/** Takes a span that has ended and is to be written. */
export type KeepSpan = (ended: EndedSpan) => void

/** What is known of a span when it has ended. */
export interface EndedSpan extends SpanBeginning {
  /** By `performance.now`, where they were not given. */
  readonly startTime: TimeInput
  readonly endTime: TimeInput
  /** Puts on the SDK's span what the span was given in its life. */
  readonly fill: (span: Span, timeOf: TimeOf) => void
}

/** The time that the SDK is told, of one by `performance.now`; any other as it is. */
export type TimeOf = (time: TimeInput) => TimeInput

/** Of events and links: the SDK keeps 128 of each, the last ones. A span that is open for long would collect without end. */
const mostMore = 256

/** Made by `lateTracerProvider`. */
export class LateSpan implements Span {
  readonly #begun: SpanBeginning
  readonly #keep: KeepSpan
  readonly #startedAt = performance.now()
  #attributes: Attributes | undefined
  #name: string | undefined
  #status: SpanStatus | undefined
  /** Events and links, which hardly any span has. */
  #more: ((span: Span, timeOf: TimeOf) => void)[] | undefined
  #ended = false

  constructor(begun: SpanBeginning, keep: KeepSpan) {
    const { ids, options } = begun
    // The caller may go on with its attributes; of a span that is likely forgotten none are copied.
    this.#begun =
      isSampled(ids) && options.attributes
        ? { ...begun, options: { ...options, attributes: { ...options.attributes } } }
        : begun
    this.#keep = keep
  }

  spanContext(): SpanContext {
    return this.#begun.ids
  }

  /** Whether it will be written, as far as is known. */
  get isKept(): boolean {
    return isSampled(this.#begun.ids) || this.#status?.code === SpanStatusCode.ERROR
  }

  isRecording(): boolean {
    return !this.#ended
  }

  setAttribute(key: string, value: AttributeValue): this {
    if (this.#ended) return this
    this.#attributes ??= {}
    this.#attributes[key] = value
    return this
  }

  setAttributes(attributes: Attributes): this {
    if (!this.#ended) this.#attributes = { ...this.#attributes, ...attributes }
    return this
  }

  updateName(name: string): this {
    if (!this.#ended) this.#name = name
    return this
  }

  /** As the SDK has it: unset is no status, and ok is final, as all is when the span has ended. */
  setStatus(status: SpanStatus): this {
    const isOpen = !this.#ended && this.#status?.code !== SpanStatusCode.OK
    if (isOpen && status.code !== SpanStatusCode.UNSET) this.#status = status
    return this
  }

  addEvent(name: string, attributes?: Attributes | TimeInput, given?: TimeInput): this {
    const isTime = isTimeInput(attributes)
    const time = (isTime ? attributes : given) ?? performance.now()
    const own = isTime ? undefined : { ...attributes }
    return this.#add((span, timeOf) => span.addEvent(name, own, timeOf(time)))
  }

  recordException(exception: Exception, time: TimeInput = performance.now()): void {
    const seen = copyOf(exception)
    this.#add((span, timeOf) => span.recordException(seen, timeOf(time)))
  }

  addLink(link: Link): this {
    return this.#add((span) => span.addLink(link))
  }

  addLinks(links: Link[]): this {
    return this.#add((span) => span.addLinks(links))
  }

  end(endTime: TimeInput = performance.now()): void {
    if (this.#ended) return
    this.#ended = true
    if (!this.isKept) return
    const begun = this.#begun
    this.#keep({
      ...begun,
      name: this.#name ?? begun.name,
      startTime: begun.options.startTime ?? this.#startedAt,
      endTime,
      fill: (span, timeOf) => this.#fill(span, timeOf),
    })
  }

  #fill(span: Span, timeOf: TimeOf): void {
    if (this.#attributes) span.setAttributes(this.#attributes)
    for (const add of this.#more ?? []) add(span, timeOf)
    if (this.#status) span.setStatus(this.#status)
  }

  #add(what: (span: Span, timeOf: TimeOf) => void): this {
    if (this.#ended) return this
    this.#more ??= []
    if (this.#more.length >= mostMore) this.#more.shift()
    this.#more.push(what)
    return this
  }
}

/** Whether it is of a trace that is kept. */
export function isSampled({ traceFlags }: SpanContext): boolean {
  return (traceFlags & TraceFlags.SAMPLED) !== 0
}

function isTimeInput(value: Attributes | TimeInput | undefined): value is TimeInput {
  return typeof value === 'number' || value instanceof Date || Array.isArray(value)
}

/** Read now: who looks later may find another, or that its getters throw. */
function copyOf(exception: Exception): Exception {
  if (typeof exception === 'string') return exception
  const { code, name, message = '', stack } = exception
  return {
    message,
    ...(code !== undefined && { code }),
    ...(name !== undefined && { name }),
    ...(stack !== undefined && { stack }),
  }
}
