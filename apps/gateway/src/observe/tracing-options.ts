import type { TracingOptions } from '@gw/observability/tracing'
import type { Config } from '../config.ts'

function sampleRatioOf({ OTEL_TRACES_SAMPLER: sampler, OTEL_TRACES_SAMPLER_ARG: ratio }: Config): number {
  if (sampler.endsWith('traceidratio')) return ratio
  return sampler.endsWith('always_on') ? 1 : 0
}

/** The `OTEL_*` settings as the tracer takes them. Headers, certificates and compression the exporter reads itself. */
export function tracingOptionsOf(
  config: Config,
): Omit<TracingOptions, 'serviceVersion' | 'instanceId' | 'redact' | 'onDrop'> {
  // An exporter's own variable for traces is used as it is, the common one too: for gRPC they mean the same.
  const endpoint = config.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? config.OTEL_EXPORTER_OTLP_ENDPOINT
  const isOff = config.OTEL_SDK_DISABLED || config.OTEL_TRACES_EXPORTER === 'none' || endpoint === undefined
  return {
    serviceName: config.OTEL_SERVICE_NAME,
    ...(config.OTEL_RESOURCE_ATTRIBUTES && { attributes: config.OTEL_RESOURCE_ATTRIBUTES }),
    endpoint: endpoint ?? '',
    disabled: isOff,
    sampleRatio: sampleRatioOf(config),
    followParent: config.OTEL_TRACES_SAMPLER.startsWith('parentbased'),
    maxQueueSize: config.OTEL_BSP_MAX_QUEUE_SIZE,
    maxBatchSize: Math.min(config.OTEL_BSP_MAX_EXPORT_BATCH_SIZE, config.OTEL_BSP_MAX_QUEUE_SIZE),
    scheduledDelayMs: config.OTEL_BSP_SCHEDULE_DELAY,
    exportTimeoutMs: config.OTEL_BSP_EXPORT_TIMEOUT,
  }
}
