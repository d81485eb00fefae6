/** What holds for every answer of the edge: shapes of errors, reasons, ids, time, and probes whatever hangs. */
import { createServer, type IncomingMessage } from 'node:http'
import { afterAll, expect, test } from 'vitest'
import { errorTable } from '../src/errors.ts'
import { mostConnections } from '../src/http/proxy-dispatcher.ts'
import { listening } from './harness/listening.ts'
import { startSingle } from './harness/fleet.ts'
import { backendsOf, startGateway } from './harness/platform.ts'

const single = await startSingle({
  // Long: only what a test asks for ends a call.
  env: { GRPC_CLIENT_TIMEOUT_MS: '60000', REQUEST_BUDGET_MS: '60000', PROXY_TIMEOUT_MS: '60000' },
})
afterAll(() => single[Symbol.asyncDispose]())
const { demo, gateway } = single

const problem = { accept: 'application/problem+json, application/json' }

test.each([
  ['no token', '/api/me', {}, 401],
  ['an unknown path', '/api/nothing?token=secret', { userId: 'ann' }, 404],
  ['a table that is not there', '/api/tables/none', { userId: 'ann' }, 404],
  ['broken input', '/api/audit/events?limit=x', { userId: 'ann' }, 400],
  ['what is another’s', '/api/audit/users/ben/hands', { userId: 'ann' }, 403],
])('an error is a problem (RFC 9457) to who asks for one, with the members of always: %s', async (...row) => {
  const [, path, options, status] = row
  const response = await gateway.fetch(path, { ...options, headers: problem })
  const body: unknown = await response.json()
  expect([response.status, response.headers.get('content-type')]).toEqual([
    status,
    'application/problem+json; charset=utf-8',
  ])
  expect(body).toMatchObject({
    type: 'about:blank',
    title: expect.any(String),
    status,
    detail: expect.any(String),
    instance: path.split('?', 1)[0],
    error: expect.any(String),
    code: expect.any(String),
    requestId: response.headers.get('x-request-id'),
  })
  const plain = await gateway.fetch(path, options)
  expect(plain.headers.get('content-type')).toBe('application/json; charset=utf-8')
  expect(Object.keys((await plain.json()) as object)).not.toContain('type')
})

test('each code of a backend comes out as the table says: with the reason where it is a failure, with the word where it is a refusal', async () => {
  const codes = {
    CANCELLED: ['cancelled', null],
    UNKNOWN: ['internal', 'upstream_failed'],
    INVALID_ARGUMENT: ['invalid_request', null],
    DEADLINE_EXCEEDED: ['timeout', 'upstream_timeout'],
    NOT_FOUND: ['not_found', null],
    ALREADY_EXISTS: ['conflict', null],
    PERMISSION_DENIED: ['forbidden', null],
    RESOURCE_EXHAUSTED: ['rate_limited', null],
    FAILED_PRECONDITION: ['invalid_request', null],
    ABORTED: ['conflict', null],
    OUT_OF_RANGE: ['invalid_request', null],
    UNIMPLEMENTED: ['unimplemented', null],
    INTERNAL: ['internal', 'upstream_failed'],
    UNAVAILABLE: ['unavailable', 'upstream_unavailable'],
    DATA_LOSS: ['internal', 'upstream_failed'],
    UNAUTHENTICATED: ['auth_denied', null],
  } as const
  const cases = Object.entries(codes).flatMap(([code, [word, reason]]) => [
    { code, word, details: 'in prose', shown: word, reason },
    { code, word, details: 'A_WORD', shown: 'A_WORD', reason: null },
  ])
  for (const { code, word, details, shown, reason } of cases) {
    await demo.fault({ service: 'game', method: 'CreateTable', kind: 'error', code, details, count: 1 })
    const response = await gateway.fetch('/api/tables', {
      userId: 'ann',
      method: 'POST',
      body: { name: 'x' },
    })
    const row = errorTable[word]
    expect([
      response.status,
      await response.json(),
      response.headers.get('x-gateway-reason'),
      response.headers.get('retry-after'),
    ]).toEqual([
      row.http,
      expect.objectContaining({ error: 'Failed to create table', code: shown }),
      reason,
      row.retryable ? '1' : null,
    ])
  }
})

test('a request has one time for all its calls: a client shortens it, and the backend sees what is left', async () => {
  await demo.fault({ service: 'player', method: 'GetProfile', kind: 'hang', count: 1 })
  const hasty = await gateway.fetch('/api/me', { userId: 'ann', headers: { 'x-request-timeout-ms': '150' } })
  expect([hasty.status, hasty.headers.get('x-gateway-reason')]).toEqual([504, 'budget_spent'])
  await demo.forgetCalls()
  const enough = { 'x-request-timeout-ms': '20000' }
  expect((await gateway.fetch('/api/me', { userId: 'ann', headers: enough })).status).toBe(200)
  const calls = await demo.calls('player')
  expect(calls.map(({ method }) => method)).toEqual(
    expect.arrayContaining(['GetProfile', 'GetStatistics', 'GetFriends']),
  )
  for (const { deadlineMs } of calls) expect(deadlineMs).toBeLessThanOrEqual(20_000)
})

test('a client that goes away takes its call with it', async () => {
  await demo.fault({ service: 'game', method: 'ListTables', kind: 'hang', count: 1 })
  await demo.forgetCalls()
  const client = new AbortController()
  const pending = gateway
    .fetch('/api/tables', { userId: 'gone', signal: client.signal })
    .catch(() => 'aborted')
  await expect.poll(async () => (await demo.calls('game')).length, { timeout: 15_000 }).toBe(1)
  client.abort()
  expect(await pending).toBe('aborted')
  // The hang ends when its caller has gone: the metric has the call's code, CANCELLED.
  await expect
    .poll(async () => (await fetch(gateway.metricsUrl)).text(), { timeout: 15_000 })
    .toMatch(/upstream_requests_total\{service="game",method="ListTables",code="1"\} 1/)
})

test('probes answer while everything behind them hangs', async () => {
  const services = ['game', 'player', 'event', 'notify', 'balance-http'] as const
  for (const service of services) await demo.fault({ service, kind: 'hang' })
  const client = new AbortController()
  const paths = ['/api/tables', '/api/me', '/api/audit/my-hands', '/api/accounts/ann/balance']
  const stuck = Array.from({ length: 40 }, (_, at) =>
    gateway.fetch(paths[at % paths.length] ?? '', { userId: `u${at}`, signal: client.signal }).then(
      () => 'answered',
      () => 'aborted',
    ),
  )
  let answered = 0
  for (const pending of stuck) void pending.then((how) => (answered += how === 'answered' ? 1 : 0))
  await expect.poll(async () => (await demo.calls()).length, { timeout: 15_000 }).toBeGreaterThan(10)
  for (let at = 0; at < 20; at++) {
    expect((await gateway.fetch('/health')).status).toBe(200)
    expect((await gateway.fetch('/ready')).status).toBe(200)
  }
  // Forty probes went by before the first of the stuck requests was given up.
  expect(answered).toBe(0)
  client.abort()
  await Promise.all(stuck)
  await demo.clearFaults()
})

test('a proxied service that has as many calls as there are connections to it is busy: nobody waits for one', async () => {
  await demo.fault({ service: 'balance-http', kind: 'hang' })
  await demo.forgetCalls()
  const client = new AbortController()
  const { signal } = client
  const ask = (userId: string) => gateway.fetch('/api/accounts/ann/balance', { userId, signal })
  const held = Array.from({ length: mostConnections }, (_, at) =>
    ask(`holder${at % 8}`).catch(() => 'aborted'),
  )
  const calls = async (): Promise<number> => (await demo.calls('balance-http')).length
  await expect.poll(calls, { timeout: 15_000 }).toBe(mostConnections)
  const refused = await ask('ann')
  expect([refused.status, refused.headers.get('x-gateway-reason')]).toEqual([503, 'upstream_busy'])
  client.abort()
  await Promise.all(held)
  await demo.clearFaults()
})

test('a service with an HTTP URL answers its own part of the API, knowing the caller; the others stay with gRPC', async () => {
  const seen: string[] = []
  await using game = await listening(
    createServer((request: IncomingMessage, response) => {
      seen.push(`${request.method} ${request.url} ${String(request.headers['x-user-id'])}`)
      response.setHeader('content-type', 'application/json')
      response.end('{"from":"http"}')
    }),
  )
  await using mixed = await startGateway({
    ...backendsOf(demo),
    GAME_SERVICE_HTTP_URL: `127.0.0.1:${game.port}`,
  })
  await mixed.ready()
  for (const [method, path] of [
    ['GET', '/api/tables'],
    ['DELETE', '/api/tables/t1?x=%20'],
  ] as const)
    expect(await (await mixed.fetch(path, { userId: 'ann', method })).json()).toEqual({ from: 'http' })
  expect(await (await mixed.fetch('/api/me', { userId: 'ann' })).json()).toMatchObject({ userId: 'ann' })
  expect((await mixed.fetch('/api/tables')).status).toBe(401)
  expect(seen).toEqual(['GET /api/tables ann', 'DELETE /api/tables/t1?x=%20 ann'])
})
