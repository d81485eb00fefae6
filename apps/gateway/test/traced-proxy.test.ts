/** The client span of a proxied request: in a trace that is kept always, in any other where the call failed. */
import { createServer } from 'node:http'
import { createLogger } from '@gw/observability/logger'
import { requestContext } from '@gw/observability/http'
import { createMetrics } from '@gw/observability/metrics'
import { startTracing } from '@gw/observability/tracing'
import { type OtlpSink, type ReceivedSpan, startOtlpSink } from '@gw/testing'
import express from 'express'
import { expect, test } from 'vitest'
import { traceProxy } from '../src/observe/traced-proxy.ts'
import { listening } from './harness/listening.ts'

const [serverKind, clientKind, failed] = [2, 3, 2]

/** What is sent of requests that end with these statuses, when the `count`th span is there. */
async function spansOf(
  statuses: readonly number[],
  sampleRatio: number,
  count: number,
): Promise<ReceivedSpan[]> {
  await using sink: OtlpSink = await startOtlpSink()
  const { endpoint } = sink
  const names = { serviceName: 'gateway', serviceVersion: '1', instanceId: 'i' }
  const tracing = startTracing({ ...names, endpoint, sampleRatio, scheduledDelayMs: 10 })
  const app = express()
  const metrics = createMetrics({ defaultMetrics: false })
  const logger = createLogger({ service: 'gateway', instanceId: 'i', level: 'error' })
  app.use(requestContext({ logger, metrics, trustIncoming: false }))
  const answer = traceProxy('http://balance:3002', ({ url }, response) => {
    setTimeout(() => response.status(Number(url.slice(1))).end(), 20)
  })
  app.use(answer)
  await using front = await listening(createServer(app))
  for (const status of statuses) await (await fetch(`${front.url}/${status}`)).text()
  const spans = await sink.spans(count)
  expect(await tracing.shutdown(2000)).toBe(true)
  expect(sink.received).toHaveLength(count)
  return spans
}

test('in a trace that is not kept: that of a failed call, below the server’s', async () => {
  const spans = await spansOf([200, 404, 503], 0, 3)
  const [refused, client, server] = [
    spans.find(({ attributes }) => attributes['http.response.status_code'] === 404),
    spans.find(({ kind, attributes }) => kind === clientKind && attributes['error.type'] === '503'),
    spans.find(({ kind }) => kind === serverKind),
  ]
  expect(refused).toMatchObject({ kind: clientKind, name: 'GET', statusCode: failed })
  expect(refused?.traceId).not.toBe(client?.traceId)
  expect(client).toMatchObject({
    traceId: server?.traceId,
    parentSpanId: server?.spanId,
    statusCode: failed,
    attributes: { 'server.address': 'balance', 'server.port': 3002, 'http.request.method': 'GET' },
  })
  const [startedAtMs = 0, endedAtMs = 0] = [client?.startedAtMs, client?.endedAtMs]
  // It was 20 ms, less what timers round.
  expect(endedAtMs - startedAtMs).toBeGreaterThan(15)
})

test('in a trace that is kept: always', async () => {
  const spans = await spansOf([200], 1, 2)
  const server = spans.find(({ kind }) => kind === serverKind)
  expect(spans.find(({ kind }) => kind === clientKind)).toMatchObject({
    traceId: server?.traceId,
    parentSpanId: server?.spanId,
    attributes: { 'http.response.status_code': 200 },
  })
})
