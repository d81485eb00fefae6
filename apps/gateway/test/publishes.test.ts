/** The producer span of a publish: in a trace that is kept always, in any other where the publish failed. */
import { createMetrics } from '@gw/observability/metrics'
import { injectTraceparent, startTracing, withSpan } from '@gw/observability/tracing'
import { type OtlpSink, startOtlpSink } from '@gw/testing'
import { expect, test } from 'vitest'
import { createPublishObserver, type Origin } from '../src/observe/publishes.ts'

const producer = 4
const failed = 2
const kept = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const notKept = `${kept.slice(0, -2)}00`

interface Tried {
  readonly sink: OtlpSink
  /** What went into the envelope. */
  readonly told: readonly Origin[]
  readonly publishes: string
}

/** Publishes for `given` once well and once not, with ids of `around` if there is one, and stops. */
async function publishTwice(
  given: Origin,
  { around, followParent = true }: { readonly around?: string; readonly followParent?: boolean } = {},
): Promise<Tried> {
  await using sink = await startOtlpSink()
  const names = { serviceName: 'gateway', serviceVersion: '1', instanceId: 'i' }
  const { endpoint } = sink
  const tracing = startTracing({ ...names, endpoint, followParent, sampleRatio: 0, scheduledDelayMs: 10 })
  const metrics = createMetrics({ defaultMetrics: false })
  const observe = createPublishObserver(metrics)
  const told: Origin[] = []
  const publish = async (outcome: 'well' | 'badly'): Promise<void> => {
    const send = async (origin: Origin) => {
      told.push(origin)
      if (outcome === 'badly') throw new Error('redis is down')
      return { epoch: 'e', seq: 1, duplicate: false }
    }
    await observe('table:1', given, send).catch(() => {})
  }
  const both = async (): Promise<void> => {
    await publish('well')
    await publish('badly')
  }
  await (around === undefined ? both() : withSpan(around, { parent: 'root' }, both))
  expect(await tracing.shutdown(2000)).toBe(true)
  return { sink, told, publishes: await metrics.text() }
}

test('in a trace that is kept: each, with what the envelope says of it', async () => {
  const { sink, told, publishes } = await publishTwice({ traceparent: kept })
  expect(sink.received).toMatchObject([
    { name: 'publish table', kind: producer, parentSpanId: 'b7ad6b7169203331', statusCode: 0 },
    { name: 'publish table', kind: producer, parentSpanId: 'b7ad6b7169203331', statusCode: failed },
  ])
  expect(told.map(({ traceparent }) => traceparent?.split('-')[2])).toEqual(
    sink.received.map(({ spanId }) => spanId),
  )
  expect(publishes).toContain('gateway_channel_publishes_total{kind="table",result="ok"} 1')
  expect(publishes).toContain('gateway_channel_publishes_total{kind="table",result="failed"} 1')
})

test('in a trace that is not kept: of what failed, and the envelope says what the caller said', async () => {
  const { sink, told } = await publishTwice({ traceparent: notKept })
  expect(sink.received).toMatchObject([
    { name: 'publish table', kind: producer, parentSpanId: 'b7ad6b7169203331', statusCode: failed },
  ])
  expect(told).toEqual([{ traceparent: notKept }, { traceparent: notKept }])
})

test('in a trace that its caller keeps, and this instance does not: nobody behind it is told to keep it', async () => {
  const { sink, told } = await publishTwice({ traceparent: kept }, { followParent: false })
  expect(sink.received).toMatchObject([{ name: 'publish table', statusCode: failed }])
  expect(told).toEqual([{ traceparent: notKept }, { traceparent: notKept }])
})

test('below the span of a request that is not kept: of what failed, with its ids', async () => {
  const { sink, told } = await publishTwice({}, { around: 'ws.table' })
  expect(sink.received).toMatchObject([{ name: 'publish table', kind: producer, statusCode: failed }])
  const [first] = told
  expect(first?.traceparent).toMatch(/-00$/)
  expect(sink.received[0]?.traceId).toBe(first?.traceparent?.split('-')[1])
})

test('none where nobody is traced', async () => {
  const { sink, told } = await publishTwice({})
  expect(sink.received).toEqual([])
  expect(told).toEqual([{}, {}])
  expect(injectTraceparent()).toBeUndefined()
})
