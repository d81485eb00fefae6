/** Backends that hang, freeze, die and return: every request has an answer in its time, and none is sent twice. */
import { expect, test } from 'vitest'
import { startFleet } from './harness/fleet.ts'
import { backendsOf, type Demo, type GatewayProcess, startDemo, startGateway } from './harness/platform.ts'
import { connectPlayer } from './harness/player.ts'

const gatewayFor = (demo: Demo, env: Readonly<Record<string, string>> = {}): Promise<GatewayProcess> =>
  startGateway({ ...backendsOf(demo), HTTP_RATE_LIMIT_MAX: '100000', GRPC_CLIENT_TIMEOUT_MS: '400', ...env })

const answer = async (pending: Promise<Response>) => {
  const response = await pending
  await response.text()
  return [response.status, response.headers.get('x-gateway-reason')]
}

/** On ports that were free a moment ago: another process may hold one for an instant. */
async function startAgain(env: Readonly<Record<string, string>>): Promise<Demo> {
  for (let tries = 1; ; tries++) {
    try {
      return await startDemo(env)
    } catch (error) {
      if (tries === 10) throw error
    }
  }
}

test('a backend that hangs: 504 at its deadline, then 503 at once without a call; its neighbours never notice', async () => {
  await using demo = await startDemo()
  await using gateway = await gatewayFor(demo)
  await gateway.ready()
  // Connected before the clock of a short deadline counts.
  await expect
    .poll(() => answer(gateway.fetch('/api/tables', { userId: 'ann' })), { timeout: 15_000 })
    .toEqual([200, null])
  await demo.fault({ service: 'game', kind: 'hang' })
  const late = performance.now()
  const first = await Promise.all(
    Array.from({ length: 5 }, (_, at) => answer(gateway.fetch('/api/tables', { userId: `u${at}` }))),
  )
  expect(first).toEqual(Array.from({ length: 5 }, () => [504, 'upstream_timeout']))
  expect(performance.now() - late).toBeGreaterThanOrEqual(390)
  await demo.forgetCalls()
  const refused = await gateway.fetch('/api/tables', { userId: 'ann' })
  expect([
    refused.status,
    refused.headers.get('x-gateway-reason'),
    refused.headers.get('retry-after'),
  ]).toEqual([503, 'breaker_open', '5'])
  expect(await demo.calls('game')).toEqual([])
  expect((await gateway.fetch('/api/me', { userId: 'ann' })).status).toBe(200)
  expect((await gateway.fetch('/api/accounts/ann/ledger', { userId: 'ann' })).status).not.toBe(503)
  expect(await (await fetch(gateway.metricsUrl)).text()).toMatch(/breaker_state\{service="game"\} 2/)
  // It closes by itself once the backend answers again.
  await demo.clearFaults()
  await expect
    .poll(() => answer(gateway.fetch('/api/tables', { userId: 'ann' })), { timeout: 15_000 })
    .toEqual([200, null])
  expect(await (await fetch(gateway.metricsUrl)).text()).toMatch(/breaker_state\{service="game"\} 0/)
}, 60_000)

test('a platform that freezes: every route is answered in its time, probes too, and all is well when it thaws', async () => {
  await using demo = await startDemo()
  await using gateway = await gatewayFor(demo, { PROXY_TIMEOUT_MS: '400' })
  await gateway.ready()
  expect((await gateway.fetch('/api/me', { userId: 'ann' })).status).toBeLessThan(600)
  demo.process.signal('SIGSTOP')
  const paths = ['/api/tables', '/api/me', '/api/audit/my-hands', '/api/accounts/ann/balance']
  const answers = await Promise.all(
    paths.map(async (path) => (await answer(gateway.fetch(path, { userId: 'ann' })))[0]),
  )
  for (const status of answers) expect([503, 504]).toContain(status)
  expect((await gateway.fetch('/health')).status).toBe(200)
  expect((await gateway.fetch('/ready')).status).toBe(200)
  demo.process.signal('SIGCONT')
  for (const path of paths)
    await expect
      .poll(async () => (await answer(gateway.fetch(path, { userId: 'ann' })))[0], { timeout: 15_000 })
      .toBeLessThan(500)
}, 60_000)

test('a platform that is killed and comes back on its ports: 503 meanwhile, then answers; no change was sent twice', async () => {
  const demo = await startDemo()
  await using gateway = await gatewayFor(demo, { GRPC_CLIENT_TIMEOUT_MS: '5000' })
  await gateway.ready()
  const create = (name: string) =>
    gateway.fetch('/api/tables', { userId: 'ann', method: 'POST', body: { name } })
  expect((await create('before')).status).toBe(201)
  await demo.process.kill('SIGKILL')
  expect(await answer(gateway.fetch('/api/tables', { userId: 'ann' }))).toEqual([503, 'upstream_unavailable'])
  expect(await answer(create('away'))).toEqual([503, 'upstream_unavailable'])
  expect((await answer(gateway.fetch('/api/accounts/ann/balance', { userId: 'ann' })))[0]).toBe(503)
  const { ports } = demo
  await using again = await startAgain({
    BALANCE_HTTP_PORT: String(ports.balanceHttp),
    BALANCE_GRPC_PORT: String(ports.balance),
    PLAYER_GRPC_PORT: String(ports.player),
    GAME_GRPC_PORT: String(ports.game),
    EVENT_GRPC_PORT: String(ports.event),
    NOTIFY_GRPC_PORT: String(ports.notify),
  })
  let created = 0
  await expect
    .poll(
      async () => {
        const [status] = await answer(create('back'))
        if (status === 201) created += 1
        return status
      },
      { timeout: 15_000 },
    )
    .toBe(201)
  const calls = await again.calls('game', 'CreateTable')
  expect([created, calls.length]).toEqual([1, 1])
}, 60_000)

test('a Game that is away for a moment: today’s client keeps its table and its chat, and is told of no failure', async () => {
  await using fleet = await startFleet({ gateways: [{}] })
  const {
    demo,
    gateways: [gateway],
  } = fleet
  const tableId = await gateway.createTable('away-host')
  await using today = await connectPlayer(gateway.wsUrl, 'away-ann', 'legacy')
  await using newer = await connectPlayer(gateway.wsUrl, 'away-ben')
  await demo.fault({ service: 'game', kind: 'error' })
  for (const type of ['SubscribeTable', 'SubscribeChat', 'LeaveTable']) today.send({ type, tableId })
  expect(await today.next('ChatSubscribed')).toMatchObject({ tableId, history: [] })
  await today.ask({ type: 'Ping' })
  expect(await newer.ask({ type: 'SubscribeTable', tableId })).toMatchObject({
    type: 'Error',
    code: 'unavailable',
    retryAfterMs: expect.any(Number),
  })
  expect(await newer.ask({ type: 'LeaveTable', tableId })).toMatchObject({ type: 'Error' })
  await demo.clearFaults()
  // What it asked for, then what happens at the table, with the user as a spectator of it.
  await today.next('TableSnapshot', 30_000)
  await today.next(
    (message) => message.type === 'TableSnapshot' && JSON.stringify(message).includes('"userId":"away-ann"'),
    30_000,
  )
  today.send({ type: 'ChatSend', tableId, message: 'here again' })
  expect(await today.next('ChatMessage')).toMatchObject({ tableId, message: { text: 'here again' } })
  expect(today.socket.received.filter(({ type }) => type === 'Error')).toEqual([])
  today.assertKnownMessages()
}, 90_000)
