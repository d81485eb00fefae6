/** From a slow bucket to one of its traces: histograms that remember trace ids, and the format that can say them. */
import type { SpanContext } from '@opentelemetry/api'
import type { Histogram, LabelValues, Registry } from 'prom-client'
import type { Labels } from './cells.ts'
import { type BoundHistogram, type QuickConfiguration, QuickHistogram } from './series.ts'
import { isSampled } from './late-span.ts'
import { activeSpan } from './spans.ts'

type ObserveFor<T extends string> = (
  span: SpanContext | undefined,
  labels: LabelValues<T>,
  value: number,
) => void

/**
 * A histogram that keeps, for each bucket, the id of the last sampled trace that fell into it. `observe` takes it from the
 * active span, `observeFor` from the given one.
 */
export interface TracedHistogramOf<T extends string> extends Pick<Histogram<T>, 'observe'> {
  readonly observeFor: ObserveFor<T>
  /** For one set of label values that comes often. */
  readonly of: (labels: LabelValues<T>) => BoundTracedHistogram
}

/** A `TracedHistogramOf` whose labels are known. */
export interface BoundTracedHistogram extends BoundHistogram {
  readonly observeFor: (span: SpanContext | undefined, value: number) => void
}

export class TracedHistogram extends QuickHistogram implements TracedHistogramOf<string> {
  readonly observeFor: ObserveFor<string>

  constructor(options: QuickConfiguration) {
    super(options)
    this.observeFor = (span, labels, value) => this.add(labels, value, keptTraceOf(span))
    const observe = (first: Labels | number, second?: number): void => {
      if (typeof first === 'number') this.add(undefined, first, activeKeptTrace())
      else this.add(first, second, activeKeptTrace())
    }
    Object.assign(this, { observe })
  }

  override of(labels: Labels): BoundTracedHistogram {
    const cell = this.cell(labels)
    return {
      observe: (value) => cell.add(value, activeKeptTrace()),
      observeFor: (span, value) => cell.add(value, keptTraceOf(span)),
    }
  }
}

function activeKeptTrace(): string | undefined {
  return keptTraceOf(activeSpan()?.spanContext())
}

function keptTraceOf(span: SpanContext | undefined): string | undefined {
  return span !== undefined && isSampled(span) ? span.traceId : undefined
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
