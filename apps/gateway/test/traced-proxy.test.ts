/** The client span of a proxied request: in a trace that is kept always, in any other where the call failed. */
import { createServer } from 'node:http'
import { createLogger } from '@gw/observability/logger'
import { requestContext } from '@gw/observability/http'
import { createMetrics } from '@gw/observability/metrics'
import { injectTraceparent, startTracing } from '@gw/observability/tracing'
import { type OtlpSink, type ReceivedSpan, startOtlpSink } from '@gw/testing'
import express from 'express'
import { expect, test } from 'vitest'
import { createBackendGuard } from '../src/grpc/backend-guard.ts'
import { ProxyDispatcher } from '../src/http/proxy-dispatcher.ts'
import { createProxy } from '../src/http/proxy.ts'
import { createProxyTracer } from '../src/observe/traced-proxy.ts'
import { listening } from './harness/listening.ts'

const [serverKind, clientKind, failed] = [2, 3, 2]

interface Traced {
  readonly spans: readonly ReceivedSpan[]
  /** What the backend was told, of each request. */
  readonly told: readonly unknown[]
}

/**
 * What is sent of requests for these paths, when the `count`th span is there: the backend answers `/404` with a 404, breaks
 * off any path that is no number, and takes 20 ms.
 */
async function trace(paths: readonly string[], sampleRatio: number, count: number): Promise<Traced> {
  await using sink: OtlpSink = await startOtlpSink()
  const { endpoint } = sink
  const names = { serviceName: 'gateway', serviceVersion: '1', instanceId: 'i' }
  const tracing = startTracing({ ...names, endpoint, sampleRatio, scheduledDelayMs: 10 })
  const told: unknown[] = []
  await using backend = await listening(
    createServer(({ url = '', headers, socket }, response) => {
      told.push(headers['traceparent'])
      const status = Number(url.slice(1))
      setTimeout(() => (status > 0 ? response.writeHead(status).end() : socket.destroy()), 20)
    }),
  )
  const app = express()
  const metrics = createMetrics({ defaultMetrics: false })
  const logger = createLogger({ service: 'gateway', instanceId: 'i', level: 'error' })
  app.use(requestContext({ logger, metrics, trustIncoming: false }))
  const dispatcher = new ProxyDispatcher({ timeoutMs: 500 })
  app.use(
    createProxy({
      target: backend.url,
      timeoutMs: 500,
      dispatcher,
      guard: createBackendGuard(),
      headers: () => ({ traceparent: injectTraceparent() ?? '' }),
      ...createProxyTracer(backend.url),
    }),
  )
  await using front = await listening(createServer(app))
  for (const path of paths) await (await fetch(front.url + path)).text()
  const spans = await sink.spans(count)
  expect(await tracing.shutdown(2000)).toBe(true)
  await dispatcher.destroy()
  expect(sink.received).toHaveLength(count)
  return { spans, told }
}

const traceparentOf = (span: ReceivedSpan | undefined, flags: string): string =>
  `00-${span?.traceId}-${span?.spanId}-${flags}`

test('in a trace that is not kept: that of a failed call, below the server’s', async () => {
  const { spans, told } = await trace(['/200', '/404', '/503'], 0, 3)
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
    attributes: { 'server.address': '127.0.0.1', 'http.request.method': 'GET' },
  })
  expect(told[2]).toBe(traceparentOf(server, '00'))
  const [startedAtMs = 0, endedAtMs = 0] = [client?.startedAtMs, client?.endedAtMs]
  // It was 20 ms, less what timers round.
  expect(endedAtMs - startedAtMs).toBeGreaterThan(15)
})

test('without a status where the backend gave none', async () => {
  const { spans } = await trace(['/broken'], 0, 2)
  const [client, server] = [clientKind, serverKind].map((wanted) => spans.find(({ kind }) => kind === wanted))
  expect(client).toMatchObject({ parentSpanId: server?.spanId, attributes: { 'error.type': 'failed' } })
  expect(client?.attributes).not.toHaveProperty('http.response.status_code')
  expect(server?.attributes).toMatchObject({ 'http.response.status_code': 502 })
})

test('in a trace that is kept: always, and the backend is told of it', async () => {
  const { spans, told } = await trace(['/200', '/broken'], 1, 4)
  for (const [at, expected] of [{ 'http.response.status_code': 200 }, { 'error.type': 'failed' }].entries()) {
    const client = spans.find((span) => told[at] === traceparentOf(span, '01'))
    const server = spans.find(({ spanId }) => spanId === client?.parentSpanId)
    expect(client).toMatchObject({ kind: clientKind, attributes: expected })
    expect(server).toMatchObject({ kind: serverKind, traceId: client?.traceId })
  }
})
