/** From a slow bucket to one of its traces: histograms that remember trace ids, and the format that can say them. */
import { isSpanContextValid, trace, TraceFlags } from '@opentelemetry/api'
import { Histogram, type HistogramConfiguration, type Registry } from 'prom-client'

/**
 * A histogram that keeps, for each bucket, the id of the last sampled trace that fell into it. Observed as any other;
 * the active span is looked up at each observation.
 */
export class TracedHistogram extends Histogram {
  constructor(options: HistogramConfiguration<string>) {
    super({ ...options, enableExemplars: true })
    // prom-client replaces `observe` on the instance and then takes only the object form.
    const observeObject = this.observe.bind(this)
    this.observe = (first: object | number, second?: number): void => {
      const given =
        typeof first === 'number' ? { labels: {}, value: first } : { labels: first, value: second ?? 0 }
      observeObject({ ...given, exemplarLabels: traceLabels() })
    }
  }
}

function traceLabels(): { trace_id?: string } {
  const span = trace.getActiveSpan()?.spanContext()
  if (!span || !isSpanContextValid(span) || (span.traceFlags & TraceFlags.SAMPLED) === 0) return {}
  return { trace_id: span.traceId }
}

/** The media type of `openMetricsText`. */
export const openMetricsType: string = 'application/openmetrics-text; version=1.0.0; charset=utf-8'

interface SampleData {
  readonly value: number
  readonly labels: Readonly<Record<string, string | number | undefined>>
  readonly metricName?: string
  readonly exemplar?: {
    readonly labelSet: Readonly<Record<string, string>>
    readonly value: number
    readonly timestamp: number
  } | null
}

/**
 * `registry` in OpenMetrics 1.0.0, with exemplars. Not prom-client's own rendering: that one renames the counters of
 * the registry for good, and the same registry has to serve both formats.
 */
export async function openMetricsText(registry: Registry): Promise<string> {
  const families = await registry.getMetricsAsJSON()
  const lines = families.flatMap(({ name, help, type, values }) => {
    const kind = String(type)
    const family = kind === 'counter' ? name.replace(/_total$/, '') : name
    const samples: readonly SampleData[] = values
    return [
      `# HELP ${family} ${escape(help)}`,
      `# TYPE ${family} ${kind}`,
      ...samples.map((sample) => sampleLine(sample, kind === 'counter' ? `${family}_total` : name)),
    ]
  })
  return [...lines, '# EOF', ''].join('\n')
}

function sampleLine({ value, labels, metricName, exemplar }: SampleData, name: string): string {
  const line = `${metricName ?? name}${labelText(labels)} ${numberText(value)}`
  if (!exemplar) return line
  return `${line} # ${labelText(exemplar.labelSet)} ${numberText(exemplar.value)} ${exemplar.timestamp}`
}

function labelText(labels: Readonly<Record<string, string | number | undefined>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escape(String(value))}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function escape(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (Number.isFinite(value)) return String(value)
  return value > 0 ? '+Inf' : '-Inf'
}
