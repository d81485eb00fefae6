/** Starts the OpenTelemetry SDK, and the helpers that work with and without it. */
import { context, propagation, ROOT_CONTEXT, trace } from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc'
import { resourceFromAttributes } from '@opentelemetry/resources'
import {
  AlwaysOnSampler,
  ParentBasedSampler,
  SamplingDecision,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import { ObservabilityError, requireOption } from './errors.ts'
import { lateTracerProvider } from './late-tracer.ts'
import { LateWrites } from './late-writes.ts'
import { createRedactor, type RedactOptions } from './redact.ts'
import { SpanContextManager } from './span-context-manager.ts'
import { type SpanDrop, SpanPipeline } from './span-export.ts'
import { SpanIds } from './span-ids.ts'

export { ObservabilityError, type ObservabilityErrorCode } from './errors.ts'
export type { SpanDrop, SpanDropReason } from './span-export.ts'
export {
  activeSpan,
  extractTraceparent,
  formatTraceparent,
  injectTraceparent,
  isKept,
  isTracing,
  keepsBelow,
  recordFailure,
  runIn,
  type SpanKindName,
  type SpanOptions,
  startSpan,
  withSpan,
} from './spans.ts'

/** Options of `startTracing`. */
export interface TracingOptions {
  readonly serviceName: string
  readonly serviceVersion: string
  readonly instanceId: string
  /** OTLP over gRPC: `http://host:4317`, or https. The exporter's own OTEL_EXPORTER_OTLP_* variables still count. */
  readonly endpoint: string
  /** True registers nothing at all: every helper becomes a plain call. Default false. */
  readonly disabled?: boolean
  /** More attributes of the resource; the three above win. */
  readonly attributes?: Readonly<Record<string, string>>
  /** Share of the traces that begin here and are kept, 0 to 1. Default 1. */
  readonly sampleRatio?: number
  /** Whether a caller's decision is followed; false asks the ratio for each span. Default true. */
  readonly followParent?: boolean
  /** Export failed spans of traces that were not sampled, too. Default true. */
  readonly keepErrors?: boolean
  /** Called when spans are lost: the queue is full, or the collector doesn't take them. */
  readonly onDrop?: (drop: SpanDrop) => void
  /** Added to the built-in rules. */
  readonly redact?: RedactOptions
  /** Spans that may wait for export. Default 2048. */
  readonly maxQueueSize?: number
  /** Spans in one export call. Default 512. */
  readonly maxBatchSize?: number
  /** A batch is sent at the latest after this time. Default 2000. */
  readonly scheduledDelayMs?: number
  /** Deadline of one export call. Default 5000. */
  readonly exportTimeoutMs?: number
  /** Default: OTLP over gRPC to `endpoint`. */
  readonly exporter?: SpanExporter
}

/** A running SDK. */
export interface Tracing {
  /** Gives the SDK the spans that have ended, as happens by itself within 50 ms. They are sent when their batch is. */
  readonly writeEnded: () => void
  /** Sends what waits and unregisters. Resolves false when `timeoutMs` passed first: the rest is lost. Idempotent. */
  readonly shutdown: (timeoutMs: number) => Promise<boolean>
}

/**
 * Registers the process's tracer: OTLP/gRPC, bounded batches, W3C Trace Context, parent-based ratio sampling. No
 * auto-instrumentation: the only spans are the ones this code asks for. Throws `invalid_option`.
 */
export function startTracing(options: TracingOptions): Tracing {
  const { disabled = false, sampleRatio = 1, keepErrors = true, followParent = true } = options
  const { onDrop = () => {} } = options
  const { maxQueueSize = 2048, maxBatchSize = 512, scheduledDelayMs = 2000, exportTimeoutMs = 5000 } = options
  requireOption(sampleRatio >= 0 && sampleRatio <= 1, 'sampleRatio must be from 0 to 1')
  requireOption(
    maxBatchSize >= 1 && maxQueueSize >= maxBatchSize,
    'maxQueueSize must be at least maxBatchSize',
  )
  requireOption(exportTimeoutMs > 0, 'exportTimeoutMs must be above 0')
  if (disabled) return { writeEnded: () => {}, shutdown: () => Promise.resolve(true) }

  const pipeline = new SpanPipeline({
    exporter: options.exporter ?? otlpExporter(options.endpoint, exportTimeoutMs),
    redactor: createRedactor(options.redact),
    onDrop,
    maxQueueSize,
    maxBatchSize,
    scheduledDelayMs,
    exportTimeoutMs,
  })
  const ratio = new TraceIdRatioBasedSampler(sampleRatio)
  const sampler = followParent ? new ParentBasedSampler({ root: ratio }) : ratio
  const ids = new SpanIds()
  const writes = new LateWrites((cause) => {
    const error = cause instanceof Error ? cause : new Error(String(cause))
    onDrop({ reason: 'export_failed', count: 1, error })
  })
  const provider = new TracerProvider({
    idGenerator: ids,
    sampler: keepErrors ? new AlwaysOnSampler() : sampler,
    spanProcessors: [pipeline],
    spanLimits: { attributeValueLengthLimit: 4096 },
    resource: resourceFromAttributes({
      ...options.attributes,
      'service.name': options.serviceName,
      'service.version': options.serviceVersion,
      'service.instance.id': options.instanceId,
    }),
  })
  const manager = new SpanContextManager()
  if (context.setGlobalContextManager(manager)) manager.enable()
  propagation.setGlobalPropagator(new W3CTraceContextPropagator())
  const keepsForeign = followParent
    ? undefined
    : (traceId: string): boolean =>
        ratio.shouldSample(ROOT_CONTEXT, traceId).decision === SamplingDecision.RECORD_AND_SAMPLED
  trace.setGlobalTracerProvider(
    keepErrors ? lateTracerProvider({ writer: provider, ids, writes, sampleRatio, keepsForeign }) : provider,
  )

  let stopped: Promise<boolean> | undefined
  return {
    writeEnded: () => writes.flush(),
    shutdown: (timeoutMs) => {
      writes.close()
      stopped ??= stop(provider, timeoutMs).then((finished) => {
        if (!finished && pipeline.queued > 0) onDrop({ reason: 'shutdown', count: pipeline.queued })
        return finished
      })
      return stopped
    },
  }
}

function otlpExporter(endpoint: string, timeoutMillis: number): SpanExporter {
  const url = /^[a-z]+:\/\//.test(endpoint) ? endpoint : `http://${endpoint}`
  try {
    return new OTLPTraceExporter({ url, timeoutMillis })
  } catch (cause) {
    throw new ObservabilityError('invalid_option', 'Invalid option: endpoint must be a URL.', { cause })
  }
}

function stop(provider: TracerProvider, timeoutMs: number): Promise<boolean> {
  trace.disable()
  context.disable()
  propagation.disable()
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), timeoutMs)
    const settle = (finished: boolean): void => {
      clearTimeout(timer)
      resolve(finished)
    }
    provider.shutdown().then(
      () => settle(true),
      () => settle(false),
    )
  })
}
