import {
  Counter,
  type CounterConfiguration,
  Gauge,
  type GaugeConfiguration,
  Histogram,
  Registry,
} from 'prom-client'
import { describe, expect, it } from 'vitest'
import { type QuickConfiguration, QuickCounter, QuickGauge, QuickHistogram } from '../src/series.ts'

const count = { name: 'count_total', help: 'A counter.', labelNames: ['kind', 'code'] }
const lone = { name: 'lone_total', help: 'A counter without labels.' }
const level = { name: 'level', help: 'A gauge.' }
const time = { name: 'time_seconds', help: 'A histogram.', labelNames: ['route'], buckets: [0.1, 1, 5] }

interface Kinds {
  readonly Counter: new (options: CounterConfiguration<string>) => Counter
  readonly Gauge: new (options: GaugeConfiguration<string>) => Gauge
  readonly Histogram: new (options: QuickConfiguration) => Histogram
}

interface Series {
  readonly registry: Registry
  readonly counter: Counter
  readonly lone: Counter
  readonly gauge: Gauge
  readonly histogram: Histogram
}

const quick: Kinds = { Counter: QuickCounter, Gauge: QuickGauge, Histogram: QuickHistogram }
const own: Kinds = { Counter, Gauge, Histogram }

function seriesOf(kinds: Kinds): Series {
  const registry = new Registry()
  const registers = [registry]
  return {
    registry,
    counter: new kinds.Counter({ ...count, registers }),
    lone: new kinds.Counter({ ...lone, registers }),
    gauge: new kinds.Gauge({ ...level, registers }),
    histogram: new kinds.Histogram({ ...time, registers }),
  }
}

function update({ counter, lone: single, gauge, histogram }: Series): void {
  counter.inc({ kind: 'a', code: 200 })
  counter.inc({ code: '200', kind: 'a' }, 2)
  counter.inc({ kind: 'b' }, 0)
  counter.inc({ kind: 'with "quotes"', code: 404 }, 0.5)
  single.inc()
  single.inc(4)
  gauge.inc()
  gauge.inc(5)
  gauge.dec()
  for (const value of [0, 0.1, 0.11, 1, 4, 5, 5.01, 99]) histogram.observe({ route: '/a' }, value)
  histogram.observe({ route: '/b' }, 0.2)
  histogram.observe(0.2)
}

const reads: readonly [string, (series: Series) => Promise<unknown>][] = [
  ['text', ({ registry }) => registry.metrics()],
  ['data for another process', ({ registry }) => registry.getMetricsAsJSON()],
]

describe('the quick series', () => {
  it.each(reads)("are read as prom-client's own, as %s, whenever they are read", async (_form, read) => {
    const [ours, theirs] = [seriesOf(quick), seriesOf(own)]
    expect(await read(ours)).toEqual(await read(theirs))
    for (let round = 0; round < 2; round += 1) {
      update(ours)
      update(theirs)
      const expected = await read(theirs)
      expect(await read(ours)).toEqual(expected)
      expect(await read(ours)).toEqual(expected)
    }
  })

  it('count the same by what was found before as by its labels', async () => {
    const [ours, theirs] = [seriesOf(quick), seriesOf(own)]
    const [counter, histogram] = [new QuickCounter({ ...count, registers: [] }), ours.histogram]
    if (!(histogram instanceof QuickHistogram)) throw new Error('not ours')
    const cell = counter.of({ kind: 'a', code: 200 })
    cell.inc()
    counter.inc({ code: '200', kind: 'a' }, 2)
    cell.inc(3)
    expect((await counter.get()).values).toEqual([{ labels: { kind: 'a', code: 200 }, value: 6 }])
    cell.inc()
    expect((await counter.get()).values).toMatchObject([{ value: 7 }])
    expect(() => cell.inc(-1)).toThrow(TypeError)
    const series = histogram.of({ route: '/a' })
    for (const value of [0.05, 3, 99]) {
      series.observe(value)
      theirs.histogram.observe({ route: '/a' }, value)
    }
    expect(() => series.observe(Number.NaN)).toThrow(TypeError)
    expect(await ours.registry.metrics()).toBe(await theirs.registry.metrics())
  })

  it('go on from a gauge that was set', async () => {
    const { gauge } = seriesOf(quick)
    gauge.set(7)
    gauge.dec(2)
    expect((await gauge.get()).values).toEqual([{ value: 5, labels: {} }])
  })

  it('refuse a label that is not theirs', () => {
    const { counter, histogram } = seriesOf(quick)
    expect(() => counter.inc({ kind: 'a', user: 'u' })).toThrow(/label/)
    expect(() => histogram.observe({ user: 'u' }, 1)).toThrow(/label/)
  })

  it.each([Number.NaN, Infinity, -1])('a counter refuses %d', async (value) => {
    const { lone: single } = seriesOf(quick)
    expect(() => single.inc(value)).toThrow(TypeError)
    expect((await single.get()).values).toEqual([{ value: 0, labels: {} }])
  })

  it.each([Number.NaN, Infinity])('a histogram and a gauge refuse %d', async (value) => {
    const { registry, gauge, histogram } = seriesOf(quick)
    const before = await registry.metrics()
    expect(() => histogram.observe({ route: '/a' }, value)).toThrow(TypeError)
    expect(() => gauge.inc(value)).toThrow(TypeError)
    expect(await registry.metrics()).toBe(before)
  })
})
