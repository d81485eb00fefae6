/** What a hostile client sends once it has a token, or would like one: backends see nothing of it, neighbours neither. */
import { createServer } from 'node:http'
import { afterAll, afterEach, expect, test } from 'vitest'
import { listening } from './harness/listening.ts'
import { startSingle } from './harness/fleet.ts'
import { tokenOf } from './harness/platform.ts'
import { connectPlayer } from './harness/player.ts'
import { raw, statuses } from './harness/raw-http.ts'

const single = await startSingle({ env: { PROXY_TIMEOUT_MS: '60000' } })
const { demo, gateway } = single
const neighbour = await connectPlayer(gateway.wsUrl, 'neighbour')

afterAll(async () => {
  for (const part of [neighbour, single]) await part[Symbol.asyncDispose]()
})

afterEach(async () => {
  expect(await neighbour.ask({ type: 'Ping' })).toMatchObject({ type: 'Pong' })
  expect((await gateway.fetch('/api/me', { userId: 'neighbour' })).status).toBe(200)
  expect(gateway.process.lines.filter(({ level }) => level === 'error')).toEqual([])
})

const authorization = (): string => `Authorization: Bearer ${tokenOf('hostile')}\r\n`

test.each([
  '/api/accounts/%2e%2e/hostile/balance',
  '/api/accounts/../accounts/hostile/balance',
  '/api/accounts/hostile%2fbalance',
  '/api/accounts/hostile%5cbalance',
  '/api/accounts\\hostile\\balance',
  '/api/accounts//hostile/balance',
  '/api/accounts/hostile/balance;x=1',
  '/api/accounts/hostile/balance%00',
  '/api/accounts/hostile/%zz',
  '/api/accounts/hostile/%ff',
  '/api/%61ccounts/hostile/balance',
  'http://127.0.0.1/api/accounts/hostile/balance',
])('%s never reaches a backend', async (target) => {
  await demo.forgetCalls()
  const bytes = `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${authorization()}\r\n`
  const answer = statuses(await raw(bytes, { url: gateway.url }))
  expect(['400', '404']).toContain(answer[0])
  expect(answer).toHaveLength(1)
  expect(await demo.calls('balance-http')).toEqual([])
})

test('a client that poses as somebody, by any spelling, is itself to the backend', async () => {
  const posing = [
    'x-user-id: admin',
    'X_User_Id: admin',
    'x-gateway-user-id: admin',
    'x-user-claims: {"admin":true}',
    'Connection: close, x-user-id, x-user-claims',
    'grpc-metadata-user: admin',
  ].join('\r\n')
  const answer = await raw(
    `GET /api/accounts/admin/balance HTTP/1.1\r\nHost: x\r\n${authorization()}${posing}\r\n\r\n`,
    { url: gateway.url },
  )
  expect(statuses(answer)).toEqual(['403'])
})

test('clients that go away, by the hundred, take their calls with them; no breaker opens and no place stays taken', async () => {
  await demo.fault({ service: 'balance-http', kind: 'hang' })
  const client = new AbortController()
  const gone = Array.from({ length: 100 }, (_, at) =>
    gateway
      .fetch(`/api/accounts/gone-${at}/balance`, { userId: `gone-${at}`, signal: client.signal })
      .catch(() => 'aborted'),
  )
  await expect
    .poll(async () => (await demo.calls('balance-http')).length, { timeout: 15_000 })
    .toBeGreaterThan(50)
  client.abort()
  expect(new Set(await Promise.all(gone))).toEqual(new Set(['aborted']))
  await demo.clearFaults()
  await expect
    .poll(async () => (await gateway.fetch('/api/accounts/hostile/balance', { userId: 'hostile' })).status, {
      timeout: 15_000,
    })
    .toBe(404)
  await expect
    .poll(async () => (await fetch(gateway.metricsUrl)).text(), { timeout: 15_000 })
    .toMatch(/service="balance\.http",method="proxy",code="client_closed"\} \d+/)
})

test.each([
  ['a name that regular expressions choke on', { name: `${'a'.repeat(90_000)}!` }, 400],
  [
    'members that would poison objects',
    JSON.parse('{"__proto__":{"name":"x"},"constructor":{"prototype":{}}}') as object,
    400,
  ],
  ['thousands of members', Object.fromEntries(Array.from({ length: 9000 }, (_, at) => [`k${at}`, 1])), 400],
  ['a number beyond all numbers', { name: 'x', config: { smallBlind: 1e308 } }, 400],
] as const)('%s: refused', async (_what, body, status) => {
  const response = await gateway.fetch('/api/tables', { userId: 'hostile', method: 'POST', body })
  expect([response.status, await response.json()]).toEqual([
    status,
    expect.objectContaining({ error: 'Invalid request' }),
  ])
})

test('a query of thousands of members, and one member twice, are taken plainly or refused', async () => {
  const many = Array.from({ length: 800 }, (_, at) => `a[${at}][b]=${at}`).join('&')
  for (const query of [many, 'limit=1&limit=2', '__proto__[x]=1', 'limit[]=1'])
    expect([200, 400]).toContain(
      (await gateway.fetch(`/api/audit/my-hands?${query}`, { userId: 'hostile' })).status,
    )
})

test('a token that says where its key is to be fetched from is refused, and nobody is asked', async () => {
  let asked = 0
  await using trap = await listening(
    createServer((_request, response) => {
      asked += 1
      response.end('{"keys":[]}')
    }),
  )
  const [, body] = tokenOf('hostile').split('.')
  for (const field of ['jku', 'x5u'])
    for (const kid of [{}, { kid: 'k1' }]) {
      const header = { alg: 'RS256', typ: 'JWT', [field]: `${trap.url}/keys`, ...kid }
      const token = `${Buffer.from(JSON.stringify(header)).toString('base64url')}.${body}.c2ln`
      const response = await gateway.fetch('/api/me', { headers: { authorization: `Bearer ${token}` } })
      expect(response.status).toBe(401)
    }
  expect(asked).toBe(0)
})

test('a secret in a URL, a header or a body is in no log line and no metric', async () => {
  const canary = 'canary-7f3a9c'
  await gateway.fetch(`/api/tables?token=${canary}`, { userId: 'hostile' })
  await gateway.fetch(`/api/nothing?access_token=${canary}`, { userId: 'hostile' })
  await gateway.fetch('/api/me', { headers: { authorization: `Bearer ${canary}` } })
  await gateway.fetch('/api/me', { userId: 'hostile', headers: { cookie: canary, 'x-api-key': canary } })
  await gateway.fetch('/api/tables', { userId: 'hostile', method: 'POST', body: { name: '', token: canary } })
  expect((await gateway.fetch('/health')).status).toBe(200)
  expect(gateway.process.output()).not.toContain(canary)
  expect(await (await fetch(gateway.metricsUrl)).text()).not.toContain(canary)
})
