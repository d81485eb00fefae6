/** The SDK's batch processor with two things around it: a drop counter and redaction. */
import { type Context, TraceFlags } from '@opentelemetry/api'
import { type ExportResult, ExportResultCode } from '@opentelemetry/core'
import {
  BatchSpanProcessor,
  type ReadableSpan,
  type Span,
  type SpanExporter,
  type SpanProcessor,
} from '@opentelemetry/sdk-trace'
import type { Redactor } from './redact.ts'

/** Why spans were lost. */
export type SpanDropReason = 'queue_full' | 'export_failed' | 'shutdown'

/** What is lost: one call for one or more spans. */
export interface SpanDrop {
  readonly reason: SpanDropReason
  readonly count: number
  readonly error?: Error
}

/** Options of `SpanPipeline`; all given by `startTracing`. */
export interface SpanPipelineOptions {
  readonly exporter: SpanExporter
  readonly redactor: Redactor
  readonly onDrop: (drop: SpanDrop) => void
  readonly maxQueueSize: number
  readonly maxBatchSize: number
  readonly scheduledDelayMs: number
  readonly exportTimeoutMs: number
}

/** Batches spans for `exporter`. Spans beyond `maxQueueSize` waiting are dropped and reported. */
export class SpanPipeline implements SpanProcessor {
  readonly #batch: BatchSpanProcessor
  readonly #maxQueueSize: number
  readonly #onDrop: (drop: SpanDrop) => void
  #queued = 0
  #closed = false

  constructor(options: SpanPipelineOptions) {
    this.#maxQueueSize = options.maxQueueSize
    this.#onDrop = options.onDrop
    this.#batch = new BatchSpanProcessor({
      exporter: {
        export: (spans, done) => {
          this.#queued -= spans.length
          for (const span of spans) redactSpan(span, options.redactor)
          options.exporter.export(spans, (result) => {
            this.#report(spans.length, result)
            done(result)
          })
        },
        shutdown: () => options.exporter.shutdown(),
      },
      maxQueueSize: options.maxQueueSize,
      maxExportBatchSize: options.maxBatchSize,
      scheduledDelayMillis: options.scheduledDelayMs,
      exportTimeoutMillis: options.exportTimeoutMs,
    })
  }

  /** Spans that wait for their export. */
  get queued(): number {
    return this.#queued
  }

  onStart(span: Span, parent: Context): void {
    this.#batch.onStart(span, parent)
  }

  onEnd(span: ReadableSpan): void {
    if ((span.spanContext().traceFlags & TraceFlags.SAMPLED) === 0) return
    if (this.#closed) return this.#onDrop({ reason: 'shutdown', count: 1 })
    if (this.#queued >= this.#maxQueueSize) return this.#onDrop({ reason: 'queue_full', count: 1 })
    this.#queued += 1
    this.#batch.onEnd(span)
  }

  forceFlush(): Promise<void> {
    return this.#batch.forceFlush()
  }

  shutdown(): Promise<void> {
    this.#closed = true
    return this.#batch.shutdown()
  }

  #report(count: number, result: ExportResult): void {
    if (result.code === ExportResultCode.SUCCESS) return
    this.#onDrop({ reason: 'export_failed', count, ...(result.error && { error: result.error }) })
  }
}

// At export, not at set time: it costs nothing on the hot path, and nothing for spans that are not kept.
function redactSpan(span: ReadableSpan, redactor: Redactor): void {
  redactAttributes(span.attributes, redactor)
  for (const event of span.events) if (event.attributes) redactAttributes(event.attributes, redactor)
  for (const link of span.links) if (link.attributes) redactAttributes(link.attributes, redactor)
  if (span.status.message !== undefined) span.status.message = redactor.text(span.status.message)
}

function redactAttributes(attributes: Record<string, unknown>, redactor: Redactor): void {
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === 'string') attributes[key] = redactValue(key, value, redactor)
    else if (Array.isArray(value))
      attributes[key] = value.map((item: unknown) =>
        typeof item === 'string' ? redactValue(key, item, redactor) : item,
      )
  }
}

function redactValue(key: string, value: string, redactor: Redactor): string {
  // `exception.message` is ours to scan, not a chat message.
  if (key === 'exception.message' || !redactor.isSensitive(key)) return redactor.text(value)
  return '[redacted]'
}
