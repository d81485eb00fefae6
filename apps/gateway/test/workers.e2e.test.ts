/** Two workers behind one port: one fleet on one host. */
import { afterAll, expect, test, vi } from 'vitest'
import { type AppProcess, startApp } from './harness/app-process.ts'
import { startFleet } from './harness/fleet.ts'
import { secret, startGateway } from './harness/platform.ts'
import { connectPlayer, type Player } from './harness/player.ts'

const token = 'workers-only-for-tests-0123456789-abcdef'
// Several processes start and end in each test: only something that hangs takes so long.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 180_000 })

const fleet = await startFleet({
  gateways: [{ INSTANCE_ID: 'host', WORKERS: '2', ADMIN_TOKEN: token }],
  timeoutMs: 60_000,
})
afterAll(() => fleet[Symbol.asyncDispose]())
const {
  redis,
  gateways: [gateway],
} = fleet

interface Report {
  readonly instanceId: string
  readonly pid: number
  readonly sockets: number
}

async function reports(isWanted: (all: readonly Report[]) => boolean): Promise<readonly Report[]> {
  for (;;) {
    const response = await fetch(`${gateway.adminUrl}/api/instances`, {
      headers: { authorization: `Bearer ${token}`, connection: 'close' },
    }).catch(() => undefined)
    if (!response?.ok) continue
    const { instances } = (await response.json()) as { readonly instances: readonly Report[] }
    if (isWanted(instances)) return instances
  }
}

/** The sum over all labels. */
async function sumOf(name: string): Promise<number> {
  const text = await (await fetch(gateway.metricsUrl)).text()
  const values = [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))]
  return values.reduce((sum, [, value]) => sum + Number(value), 0)
}

async function metric(name: string, wanted: number): Promise<void> {
  while ((await sumOf(name)) !== wanted);
}

const instanceOf = ({ socket }: Player): unknown =>
  socket.received.find(({ type }) => type === 'Welcome')?.['instanceId']

/** A line that the process wrote for the nth time. */
async function nth(process: AppProcess, msg: string, count: number): Promise<void> {
  const late = AbortSignal.timeout(60_000)
  while (process.lines.filter((line) => line.msg === msg).length < count) {
    if (late.aborted) throw new Error(`no ${count} × ${msg}: ${process.output().slice(-2000)}`)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

test('workers share the port by turns, speak as one fleet, and are counted as one', async () => {
  const players = await Promise.all(
    Array.from({ length: 6 }, (_, at) => connectPlayer(gateway.wsUrl, `wk-${at}`)),
  )
  expect(new Set(players.map(instanceOf))).toEqual(new Set(['host-1.1', 'host-2.1']))
  const tableId = await gateway.createTable('wk-0')
  for (const player of players) {
    await player.ask({ type: 'SubscribeTable', tableId })
    await player.ask({ type: 'SubscribeChat', tableId })
  }
  await players[0]?.ask({ type: 'ChatSend', tableId, message: 'hello, all of you' })
  await Promise.all(players.map((player) => player.next('ChatMessage')))
  await metric('gateway_ws_active_connections', 6)
  // Each sees the other's lease in a moment.
  await metric('gateway_instances', 2)
  expect(await sumOf('gateway_ready')).toBe(1)
  expect(await sumOf('gateway_workers')).toBe(2)
  expect(await sumOf('process_start_time_seconds')).toBeLessThan(Date.now() / 1000)
  for (const player of players) await player[Symbol.asyncDispose]()
  await metric('gateway_ws_active_connections', 0)
})

test('a worker that hangs for a while makes no counter fall', async () => {
  await metric('gateway_ws_session_duration_seconds_count', 6)
  const [hung] = await reports((all) => all.length === 2)
  if (!hung) throw new Error('no worker')
  process.kill(hung.pid, 'SIGSTOP')
  const [counted, answering] = await Promise.all(
    ['gateway_ws_session_duration_seconds_count', 'gateway_workers'].map(sumOf),
  ).finally(() => process.kill(hung.pid, 'SIGCONT'))
  expect([counted, answering]).toEqual([6, 1])
  await metric('gateway_workers', 2)
})

test('a worker that is killed is replaced by a new instance; the sums keep what it had counted', async () => {
  await metric('gateway_ws_session_duration_seconds_count', 6)
  const [victim] = await reports((all) => all.length === 2)
  if (!victim) throw new Error('no worker')
  process.kill(victim.pid, 'SIGKILL')
  const exited = await gateway.process.line('worker_exited', 60_000)
  expect(exited).toMatchObject({ signal: 'SIGKILL', restartInMs: 200 })
  await nth(gateway.process, 'worker_started', 3)
  expect(await sumOf('gateway_ws_session_duration_seconds_count')).toBe(6)
  const now = await reports((all) => all.length === 2 && all.every(({ pid }) => pid !== victim.pid))
  expect(now.map(({ instanceId }) => instanceId).some((id) => id.endsWith('.2'))).toBe(true)
  await using player = await connectPlayer(gateway.wsUrl, 'wk-after')
  await player.ask({ type: 'Ping' })
})

test('SIGTERM drains all workers: clients are told to come back, and the process ends with 0', async () => {
  const players = await Promise.all(
    Array.from({ length: 4 }, (_, at) => connectPlayer(gateway.wsUrl, `wk-end-${at}`)),
  )
  const closes = players.map(({ socket }) => socket.closed)
  expect(await gateway.process.kill('SIGTERM')).toEqual({ code: 0, signal: null })
  expect((await Promise.all(closes)).map(({ code }) => code)).toEqual([1012, 1012, 1012, 1012])
  expect(gateway.process.output()).not.toContain(token)
})

test('workers that still load when SIGTERM comes end like the others', async () => {
  await using slow = startApp({
    app: 'gateway',
    entry: 'test/fixtures/workers-slow-entry.ts',
    env: {
      ...fleet.env,
      WORKERS: '2',
      HOST: '127.0.0.1',
      PORT: '0',
      METRICS_HOST: '127.0.0.1',
      METRICS_PORT: '0',
      INTERNAL_PORT: '0',
      JWT_HS256_SECRET: secret,
      SHUTDOWN_TIMEOUT_MS: '45000',
    },
  })
  await nth(slow, 'worker_loads', 2)
  slow.signal('SIGTERM')
  await slow.line('stopping')
  for (const { msg, pid } of slow.lines) if (msg === 'worker_loads') process.kill(Number(pid), 'SIGUSR2')
  expect(await slow.exited).toEqual({ code: 0, signal: null })
})

test('workers without Redis, and a port that is taken, end the start with a reason', async () => {
  await expect(startGateway({ WORKERS: '2' }, { timeoutMs: 60_000 })).rejects.toThrow(
    /WORKERS: more than 1 needs REDIS_URL/,
  )
  await using other = await startGateway()
  const { port } = new URL(other.url)
  await expect(
    startGateway({ WORKERS: '2', REDIS_URL: redis.url, PORT: port }, { timeoutMs: 60_000 }),
  ).rejects.toThrow(/EADDRINUSE/)
})
