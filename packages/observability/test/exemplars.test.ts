import { ExportResultCode } from '@opentelemetry/core'
import { describe, expect, it } from 'vitest'
import { createMetrics, createMetricsServer, type Metrics } from '../src/metrics.ts'
import { extractTraceparent, startTracing, type Tracing, withSpan } from '../src/tracing.ts'
import { type Family, parseExposition } from '@gw/testing'

const exemplar = / # \{trace_id="([0-9a-f]{32})"\} (\S+) (\d+(?:\.\d+)?)$/

interface OpenMetrics {
  readonly families: Map<string, Family>
  /** The trace ids on the bucket lines: `name le` to id. */
  readonly exemplars: Record<string, string>
}

/** OpenMetrics is the text format but for counter names, exemplars and the end mark: those are read here. */
function parseOpenMetrics(text: string): OpenMetrics {
  expect(text.endsWith('\n# EOF\n')).toBe(true)
  const exemplars: Record<string, string> = {}
  const counters = new Set<string>()
  const lines = text
    .slice(0, -'# EOF\n'.length)
    .split('\n')
    .map((line) => {
      const [, counter] = /^# TYPE (\S+) counter$/.exec(line) ?? []
      if (counter !== undefined) counters.add(counter)
      const [whole = '', traceId] = exemplar.exec(line) ?? []
      const sample = line.slice(0, line.length - whole.length)
      const [, name, le] = /^(\S+?)_bucket\{.*?le="([^"]+)"/.exec(sample) ?? []
      if (traceId !== undefined) exemplars[`${name} ${le}`] = traceId
      return sample
    })
    .map((line) => {
      const [, keyword, name = ''] = /^# (HELP|TYPE) (\S+)/.exec(line) ?? []
      return keyword && counters.has(name) ? line.replace(name, `${name}_total`) : line
    })
  // HELP stands before TYPE: its counters are known only now.
  const help = lines.map((line) => {
    const [, name = ''] = /^# HELP (\S+)/.exec(line) ?? []
    return counters.has(name) ? line.replace(name, `${name}_total`) : line
  })
  return { families: parseExposition(help.join('\n')), exemplars }
}

function startUnexported(): Tracing {
  return startTracing({
    serviceName: 'g',
    serviceVersion: '1',
    instanceId: 'i',
    endpoint: 'http://127.0.0.1:1',
    exporter: {
      export: (_spans, done) => done({ code: ExportResultCode.SUCCESS }),
      shutdown: () => Promise.resolve(),
    },
  })
}

function observeAll(metrics: Metrics): void {
  const labels = { method: 'GET', route: '/a/"b"\\:c', status: 200 }
  metrics.httpRequestDuration.observe(labels, 0.03)
  metrics.httpRequestDuration.observe(labels, 99)
  metrics.publishToDeliver.observe(0.0004)
  metrics.fanoutDuration.observe(0.0004)
  metrics.authFailures.inc({ reason: 'expired' }, 3)
}

describe('openMetrics', () => {
  it('says the same as the text format, before and after', async () => {
    const metrics = createMetrics({ defaultMetrics: false })
    observeAll(metrics)
    const before = parseExposition(await metrics.text())
    const { families, exemplars } = parseOpenMetrics(await metrics.openMetrics())
    expect(families).toEqual(before)
    expect(parseExposition(await metrics.text())).toEqual(before)
    expect(exemplars).toEqual({})
  })

  it('names the trace that fell into a bucket, the last one above all buckets too', async () => {
    const tracing = startUnexported()
    const metrics = createMetrics({ defaultMetrics: false })
    const traceId = withSpan('a', { parent: 'root' }, (span) => {
      observeAll(metrics)
      return span.spanContext().traceId
    })
    await tracing.shutdown(1000)
    const { exemplars } = parseOpenMetrics(await metrics.openMetrics())
    expect(exemplars).toEqual({
      'gateway_http_request_duration_seconds 0.05': traceId,
      'gateway_http_request_duration_seconds +Inf': traceId,
      'gateway_publish_to_deliver_seconds 0.0005': traceId,
    })
  })

  it('never names a trace that is not kept', async () => {
    const tracing = startUnexported()
    const metrics = createMetrics({ defaultMetrics: false })
    const parent = extractTraceparent('00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00')
    withSpan('a', { parent }, () => observeAll(metrics))
    await tracing.shutdown(1000)
    expect(parseOpenMetrics(await metrics.openMetrics()).exemplars).toEqual({})
  })

  it('is served to a scraper that accepts it', async () => {
    const metrics = createMetrics()
    const server = createMetricsServer({ metrics, host: '127.0.0.1', port: 0 })
    const port = await server.listen()
    // What Prometheus 3 sends.
    const accept = 'application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1'
    const response = await fetch(`http://127.0.0.1:${port}/metrics`, { headers: { accept } })
    expect(response.headers.get('content-type')).toBe(
      'application/openmetrics-text; version=1.0.0; charset=utf-8',
    )
    const { families } = parseOpenMetrics(await response.text())
    expect(families.get('process_cpu_user_seconds_total')?.type).toBe('counter')
    await server.close()
  })
})
