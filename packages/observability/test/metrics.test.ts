import { totalmem } from 'node:os'
import { beforeAll, describe, expect, it } from 'vitest'
import { aggregateMetrics, boundedLabel, createMetrics, mergeSnapshots } from '../src/metrics.ts'
import { type Family, lintFamily, parseExposition } from '@gw/testing'

const contract = [
  { name: 'gateway_ws_active_connections', type: 'gauge', labels: ['client_type'] },
  {
    name: 'gateway_ws_session_duration_seconds',
    type: 'histogram',
    labels: ['client_type'],
    buckets: [1, 5, 10, 30, 60, 120, 300, 600, 1800],
  },
  {
    name: 'gateway_http_request_duration_seconds',
    type: 'histogram',
    labels: ['method', 'route', 'status'],
    buckets: [0.005, 0.01, 0.05, 0.1, 0.2, 0.5, 1, 2, 5],
  },
]

describe('the exposition', () => {
  let families: Map<string, Family>
  beforeAll(async () => {
    const metrics = createMetrics()
    metrics.wsSessionDuration.observe({ client_type: 'web' }, 7)
    metrics.httpRequestDuration.observe({ method: 'GET', route: '/a/:b', status: 200 }, 0.02)
    families = parseExposition(await metrics.text())
  })

  it.each(contract)('has $name as the contract says', ({ name, type, labels, buckets }) => {
    const family = families.get(name)
    expect(family?.type).toBe(type)
    const { le: _, ...first } = family?.samples[0]?.labels ?? {}
    expect(Object.keys(first)).toEqual(labels)
    if (!buckets) return
    const bounds = family?.samples
      .filter((sample) => sample.name.endsWith('_bucket'))
      .map((s) => s.labels['le'])
    expect(bounds).toEqual([...buckets.map(String), '+Inf'])
  })

  it('begins with no connections of both client types', () => {
    expect(families.get('gateway_ws_active_connections')?.samples).toEqual([
      { name: 'gateway_ws_active_connections', labels: { client_type: 'web' }, value: 0 },
      { name: 'gateway_ws_active_connections', labels: { client_type: 'mobile' }, value: 0 },
    ])
  })

  it.each([
    'process_cpu_user_seconds_total',
    'process_cpu_system_seconds_total',
    'process_resident_memory_bytes',
    'nodejs_eventloop_lag_p99_seconds',
  ])('has the default series %s that dashboards query', (name) => {
    expect(families.get(name)?.samples).toHaveLength(1)
  })

  it('breaks no naming rule of Prometheus', () => {
    const problems = [...families.values()].flatMap((family) =>
      lintFamily(family).map((problem) => `${family.name}: ${problem}`),
    )
    expect(problems).toEqual([])
    expect(families.size).toBeGreaterThan(60)
  })
})

describe('createMetrics', () => {
  it('shares nothing between two registries', async () => {
    const [a, b] = [createMetrics({ defaultMetrics: false }), createMetrics({ defaultMetrics: false })]
    a.wsSlowCloses.inc()
    const valueIn = async (metrics: typeof a): Promise<number | undefined> =>
      parseExposition(await metrics.text()).get('gateway_ws_slow_closes_total')?.samples[0]?.value
    expect([await valueIn(a), await valueIn(b)]).toEqual([1, 0])
  })

  it('puts the prefix before every name', async () => {
    const families = parseExposition(await createMetrics({ prefix: 'edge_', defaultMetrics: false }).text())
    expect([...families.keys()].every((name) => name.startsWith('edge_'))).toBe(true)
    expect(() => createMetrics({ prefix: 'Bad Prefix' })).toThrow(
      expect.objectContaining({ code: 'invalid_option' }),
    )
  })

  it('reads dropped log lines at each scrape', async () => {
    let dropped = 3
    const metrics = createMetrics({ defaultMetrics: false, logLinesDropped: () => dropped })
    const value = async (): Promise<number | undefined> =>
      parseExposition(await metrics.text()).get('gateway_log_lines_dropped_total')?.samples[0]?.value
    expect(await value()).toBe(3)
    dropped = 5
    expect(await value()).toBe(5)
  })

  it('refuses a label that is not of the series', () => {
    const { authFailures } = createMetrics({ defaultMetrics: false })
    // @ts-expect-error not a label of it
    expect(() => authFailures.inc({ user: 'u1' })).toThrow(/label/i)
  })
})

it('boundedLabel lets only the allowed values through', () => {
  const types = ['Action', 'ChatSend', 'other'] as const
  expect(boundedLabel('Action', types)).toBe('Action')
  expect(boundedLabel('__proto__', types)).toBe('other')
  expect(boundedLabel(undefined, types)).toBe('other')
  expect(boundedLabel('x', new Set(['a', 'none']), 'none')).toBe('none')
})

it('adds up several workers, and takes the worst of them where a sum means nothing', async () => {
  const workers = [createMetrics(), createMetrics()]
  for (const [i, metrics] of workers.entries()) {
    metrics.wsActiveConnections.set({ client_type: 'web' }, 10 + i)
    metrics.wsMessagesReceived.inc({ type: 'Action', result: 'ok' }, 5)
    metrics.fanoutDuration.observe({ kind: 'table' }, 0.002)
    metrics.redisUp.set(i)
    metrics.ready.set(i)
    metrics.breakerState.set({ service: 'a' }, i * 2)
    metrics.pubsubProbeAge.set(i + 0.5)
  }
  const snapshots = await Promise.all(workers.map((metrics) => metrics.snapshot()))
  // Between processes they travel as messages.
  const families = parseExposition(await aggregateMetrics(JSON.parse(JSON.stringify(snapshots))))
  const value = (name: string, series = name): number | undefined =>
    families.get(name)?.samples.find((sample) => sample.name === series)?.value
  expect(value('gateway_ws_active_connections')).toBe(21)
  expect(value('gateway_ws_messages_received_total')).toBe(10)
  expect(value('gateway_fanout_duration_seconds', 'gateway_fanout_duration_seconds_count')).toBe(2)
  expect(value('gateway_redis_up')).toBe(0)
  expect(value('gateway_ready')).toBe(0)
  expect(value('gateway_breaker_state')).toBe(2)
  expect(value('gateway_pubsub_probe_age_seconds')).toBe(1.5)
})

it('shows a blocked worker as blocked, and the youngest start, however many are well', async () => {
  const snapshots = await Promise.all(
    [0.9, 0.01, 0.01, 0.01].map(async (lag) => {
      const snapshot = await createMetrics().snapshot()
      return snapshot.map((metric) =>
        metric.name.startsWith('nodejs_eventloop_lag_') || metric.name === 'process_start_time_seconds'
          ? { ...metric, values: [{ value: lag, labels: {} }] }
          : metric,
      )
    }),
  )
  const families = parseExposition(await aggregateMetrics(JSON.parse(JSON.stringify(snapshots))))
  const value = (name: string): number | undefined => families.get(name)?.samples[0]?.value
  for (const which of ['', 'mean_', 'stddev_', 'p50_', 'p90_', 'p99_', 'max_'])
    expect([which, value(`nodejs_eventloop_lag_${which}seconds`)]).toEqual([which, 0.9])
  expect(value('nodejs_eventloop_lag_min_seconds')).toBe(0.01)
  expect(value('process_start_time_seconds')).toBe(0.9)
})

it('says what several workers share once, and how many they are', async () => {
  const snapshots = await Promise.all([1, 2, 3].map(() => createMetrics().snapshot()))
  const families = parseExposition(await aggregateMetrics(snapshots))
  const value = (name: string): number => families.get(name)?.samples[0]?.value ?? Number.NaN
  expect(value('gateway_workers')).toBe(3)
  const limit = value('gateway_memory_limit_bytes')
  expect(limit).toBeGreaterThan(value('process_resident_memory_bytes') / 3)
  expect(limit).toBeLessThanOrEqual(totalmem())
  const constrained = process.constrainedMemory()
  if (constrained > 0 && constrained < totalmem()) expect(limit).toBe(constrained)
  expect(value('gateway_heap_used_ratio')).toBeGreaterThan(0)
  expect(value('gateway_heap_used_ratio')).toBeLessThan(1)
})

it('keeps the sums of a worker that is gone: merged snapshots count as one', async () => {
  const snapshots = await Promise.all(
    [2, 3].map(async (n) => {
      const metrics = createMetrics({ defaultMetrics: false })
      metrics.wsMessagesReceived.inc({ type: 'Action', result: 'ok' }, n)
      metrics.fanoutDuration.observe({ kind: 'table' }, 0.002)
      metrics.ready.set(n - 2)
      return metrics.snapshot()
    }),
  )
  const merged = await mergeSnapshots(JSON.parse(JSON.stringify(snapshots)))
  const live = createMetrics({ defaultMetrics: false })
  live.wsMessagesReceived.inc({ type: 'Action', result: 'ok' }, 4)
  live.ready.set(1)
  const families = parseExposition(await aggregateMetrics([merged, await live.snapshot()]))
  const value = (name: string, series = name): number | undefined =>
    families.get(name)?.samples.find((sample) => sample.name === series)?.value
  expect(value('gateway_ws_messages_received_total')).toBe(9)
  expect(value('gateway_fanout_duration_seconds', 'gateway_fanout_duration_seconds_count')).toBe(2)
  expect(value('gateway_ready')).toBe(0)
})
