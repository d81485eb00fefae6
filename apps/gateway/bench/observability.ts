/**
 * What logs, metrics and traces cost the gateway: CPU time for each delivery of a fan-out and for each proxied request, with
 * everything off, with each alone, and with everything on at its defaults. The sides take turns of some tenths of a second,
 * so that each round sees the same machine; each side is three processes, since two of the same code differ by some percent;
 * `off again` is a second `off` and shows what is noise. `quiet` is what a side takes when the machine leaves it alone.
 *
 *   node --conditions=@gw/source bench/observability.ts [rounds] [side ...]      default: 30 rounds, all sides
 *
 * Off is what an operator can set: `LOG_LEVEL=error`, `OTEL_SDK_DISABLED=true`; metrics, which have no switch, become empty
 * objects. With `PROFILE=folder` each gateway leaves a CPU profile there; with
 * `ONLY='proxied request'` or `ONLY=delivery` nothing else is measured; `SOCKETS=1000` instead of 100 get each message.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { create, toBinary } from '@bufbuild/protobuf'
import { credentials, Server, ServerCredentials } from '@grpc/grpc-js'
import { signToken, startOtlpSink } from '@gw/testing'
import { Agent, request } from 'undici'
import { WebSocket } from 'ws'
import { z } from 'zod'
import { PublishEventResponseSchema } from '../src/grpc/gen/event/event_pb.ts'
import { ListTablesResponseSchema } from '../src/grpc/gen/game/game_pb.ts'
import { PublisherService } from '../src/grpc/gen/gateway/v1/publisher_pb.ts'
import { createServiceClient } from '../src/grpc/service-client.ts'

const secret = 'only-for-the-bench-0123456789-abcdefghijk'
const sockets = Number(process.env['SOCKETS'] ?? 100)
/** A turn of fewer says what a gateway that did nothing else before costs, with cold caches. */
const messages = 100_000 / sockets
const [requests, atOnce, warmUps, processes] = [1000, 16, 8, 3]
const [spansAfterMs, afterMs, idleMs] = [500, 700, 5000]
const ports = z.object({ port: z.int(), internalPort: z.int() })
const usage = z.object({ cpuMicroseconds: z.number() })

const noTraces = { OTEL_SDK_DISABLED: 'true' }
const noLogs = { LOG_LEVEL: 'error', LOG_MESSAGE_SAMPLE: '0' }
const allOff = { hasMetrics: false, env: { ...noLogs, ...noTraces } }
const setups: Readonly<Record<string, { hasMetrics: boolean; env: Readonly<Record<string, string>> }>> = {
  off: allOff,
  'off again': allOff,
  logs: { hasMetrics: false, env: noTraces },
  metrics: { ...allOff, hasMetrics: true },
  traces: { hasMetrics: false, env: noLogs },
  on: { hasMetrics: true, env: {} },
}
const [givenRounds = '30', ...givenSides] = process.argv.slice(2)
const rounds = Number(givenRounds)
const sideNames = givenSides.length === 0 ? Object.keys(setups) : givenSides

type What = 'delivery' | 'proxied request'

const bothWorks: readonly What[] = ['proxied request', 'delivery']
const works = bothWorks.filter((what) => (process.env['ONLY'] ?? what) === what)

/** One process of a side. */
interface Runner {
  readonly name: string
  readonly child: ChildProcess
  readonly url: string
  readonly publish: (at: number) => Promise<unknown>
  readonly clients: readonly WebSocket[]
  /** CPU microseconds that it uses in a millisecond without work. */
  idle: number
  /** CPU microseconds for one, a figure for each turn. */
  readonly results: Readonly<Record<What, number[]>>
  /** The turn that its CPU time is counted for, until `afterMs` after its end: its spans are sent then. Without the idling. */
  counted: { readonly what: What; readonly cpuBefore: number; readonly endedAt: number } | undefined
}

const token = (user: string): string => signToken({ sub: user }, secret)

async function connect(url: string, user: string): Promise<WebSocket> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, {
    headers: { authorization: `Bearer ${token(user)}` },
  })
  await once(socket, 'message')
  return socket
}

async function start(name: string, env: Readonly<Record<string, string>>): Promise<Runner> {
  const { hasMetrics, env: own } = setups[name] ?? allOff
  const folder = process.env['PROFILE']
  const child = fork(join(import.meta.dirname, 'gateway-host.ts'), hasMetrics ? ['metrics'] : [], {
    execArgv: [
      '--conditions=@gw/source',
      ...(folder === undefined
        ? []
        : ['--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-name=${name}.${runners.length}.cpuprofile`]),
    ],
    env: { PATH: process.env['PATH'] ?? '', ...env, ...own },
    // Somebody reads the log, as a shipper does.
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  child.stdout?.resume()
  const [started]: unknown[] = await once(child, 'message')
  const { port, internalPort } = ports.parse(started)
  const url = `http://127.0.0.1:${port}`
  const client = createServiceClient(PublisherService, {
    address: `127.0.0.1:${internalPort}`,
    credentials: credentials.createInsecure(),
    timeoutMs: 30_000,
    // Of the publishers as many are traced as by default.
    metadata: () => ({
      traceparent: `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0${Math.random() < 0.01 ? 1 : 0}`,
    }),
  })
  const payload = { type: 'Notice', title: 'x'.repeat(200) }
  const clients = await Promise.all(
    Array.from({ length: sockets }, async (_, at) => connect(url, `user-${at}`)),
  )
  return {
    name,
    child,
    url,
    clients,
    publish: (at) =>
      client.publish({
        channel: 'all',
        payloadJson: new TextEncoder().encode(JSON.stringify({ ...payload, at })),
      }),
    idle: 0,
    results: { delivery: [], 'proxied request': [] },
    counted: undefined,
  }
}

/** `work(0)` to `work(count - 1)`, `atOnce` of them under way. */
async function pump(count: number, work: (at: number) => Promise<unknown>): Promise<void> {
  let next = 0
  const one = async (): Promise<void> => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: atOnce }, one))
}

async function cpuOf(child: ChildProcess): Promise<number> {
  child.send('cpu')
  const [answer]: unknown[] = await once(child, 'message')
  return usage.parse(answer).cpuMicroseconds
}

async function fanOut({ clients, publish }: Runner): Promise<void> {
  const all = Promise.withResolvers<void>()
  let left = sockets * messages
  const onMessage = (data: Buffer): void => {
    if (data.includes('"Notice"') && --left === 0) all.resolve()
  }
  for (const client of clients) client.on('message', onMessage)
  await pump(messages, publish)
  await all.promise
  for (const client of clients) client.off('message', onMessage)
}

const agent = new Agent({ connections: atOnce })
const headers = { authorization: `Bearer ${token('user-0')}` }

async function proxy({ url }: Runner): Promise<void> {
  await pump(requests, async () => {
    const { statusCode, body } = await request(`${url}/api/accounts/user-0/balance`, {
      headers,
      dispatcher: agent,
    })
    await body.text()
    if (statusCode !== 200) throw new Error(`the proxy answered ${statusCode}`)
  })
}

const work = {
  delivery: { run: fanOut, times: sockets * messages },
  'proxied request': { run: proxy, times: requests },
} as const

let isLoading = true

/** Keeps the load awake: who waits longer for a gateway would sleep, and being woken costs the gateway. */
function stayAwake(): void {
  if (isLoading) setImmediate(stayAwake)
}

async function takeTurn(runner: Runner, what: What): Promise<void> {
  if (runner.counted) await setTimeout(Math.max(0, runner.counted.endedAt + afterMs - performance.now()))
  await count(Math.max(performance.now() - afterMs, runner.counted?.endedAt ?? 0))
  const cpuBefore = await cpuOf(runner.child)
  await work[what].run(runner)
  runner.counted = { what, cpuBefore, endedAt: performance.now() }
}

async function measureIdle(): Promise<void> {
  const startedAt = performance.now()
  const before = await Promise.all(runners.map(({ child }) => cpuOf(child)))
  await setTimeout(idleMs)
  for (const [at, runner] of runners.entries())
    runner.idle = ((await cpuOf(runner.child)) - (before[at] ?? 0)) / (performance.now() - startedAt)
}

/** In any order: what came before a turn, busy or idle, changes what it costs. */
function shuffled<T>(items: readonly T[]): readonly T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ item }) => item)
}

/** Ends the turns that were over at `before`. */
async function count(before: number): Promise<void> {
  for (const runner of runners) {
    const { counted, results } = runner
    if (counted === undefined || counted.endedAt > before) continue
    runner.counted = undefined
    const used = (await cpuOf(runner.child)) - counted.cpuBefore
    const idled = runner.idle * (performance.now() - counted.endedAt)
    results[counted.what].push((used - idled) / work[counted.what].times)
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

/** By round, what it took on average in the processes of a side. */
function roundsOf(name: string, what: What): readonly number[] {
  const all = runners
    .filter((runner) => runner.name === name)
    .map(({ results }) => results[what].slice(warmUps))
  return (all[0] ?? []).map(
    (_, round) => all.reduce((sum, values) => sum + (values[round] ?? Number.NaN), 0) / all.length,
  )
}

/** When the machine leaves it alone: the lowest tenth of each process's turns, on average over the processes of a side. */
function quiet(name: string, what: What): number {
  const tenths = runners
    .filter((runner) => runner.name === name)
    .map(({ results }) => {
      const turns = results[what].slice(warmUps).toSorted((a, b) => a - b)
      return turns[Math.floor(turns.length / 10)] ?? Number.NaN
    })
  return tenths.reduce((sum, tenth) => sum + tenth, 0) / tenths.length
}

/** The median, with the lowest and the highest. */
function spread(values: readonly number[], digits: number): string {
  const [low, middle, high] = [Math.min(...values), median(values), Math.max(...values)]
  return `${middle.toFixed(digits)} (${low.toFixed(digits)} to ${high.toFixed(digits)})`
}

/**
 * Takes all session events and has no tables. Without it the gateways would spend the run on trying again, and on the spans
 * of what failed.
 */
async function startBackends(): Promise<{ readonly port: number; readonly stop: () => void }> {
  const bytes = (value: Buffer): Buffer => value
  const server = new Server()
  const answers = {
    '/event.EventService/PublishEvent': toBinary(
      PublishEventResponseSchema,
      create(PublishEventResponseSchema, { success: true }),
    ),
    '/game.GameService/ListTables': toBinary(ListTablesResponseSchema, create(ListTablesResponseSchema)),
  }
  for (const [path, answer] of Object.entries(answers))
    server.addService(
      {
        method: {
          path,
          requestStream: false,
          responseStream: false,
          requestSerialize: bytes,
          requestDeserialize: bytes,
          responseSerialize: bytes,
          responseDeserialize: bytes,
        },
      },
      {
        method: (_call: unknown, done: (error: null, value: Buffer) => void) =>
          done(null, Buffer.from(answer)),
      },
    )
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    )
  })
  return { port, stop: () => server.forceShutdown() }
}

const backends = await startBackends()
const balance = createServer((_request, response) => {
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ accountId: 'user-0', balance: 1000, history: 'x'.repeat(900) }))
})
balance.listen(0, '127.0.0.1')
await once(balance, 'listening')
const address = balance.address()
const sink = await startOtlpSink()
const env = {
  HOST: '127.0.0.1',
  PORT: '0',
  METRICS_HOST: '127.0.0.1',
  METRICS_PORT: '0',
  INTERNAL_PORT: '0',
  JWT_HS256_SECRET: secret,
  HTTP_RATE_LIMIT_MAX: '10000000',
  MAX_CONNECTIONS_PER_ADDRESS: String(sockets),
  WS_ACCEPTS_PER_SECOND_PER_ADDRESS: '2000',
  BALANCE_SERVICE_HTTP_URL: `127.0.0.1:${typeof address === 'object' ? address?.port : 0}`,
  EVENT_SERVICE_URL: `127.0.0.1:${backends.port}`,
  GAME_SERVICE_URL: `127.0.0.1:${backends.port}`,
  OTEL_EXPORTER_OTLP_ENDPOINT: sink.endpoint,
  // Before the gateway's next turn. The default of 2 s makes fewer and larger batches.
  OTEL_BSP_SCHEDULE_DELAY: String(spansAfterMs),
}
const runners: Runner[] = []
stayAwake()
for (let at = 0; at < processes; at++) for (const name of sideNames) runners.push(await start(name, env))
const startedAt = performance.now()
for (let round = 0; round < warmUps + rounds; round++) {
  if (round === warmUps) await measureIdle()
  for (const what of works) for (const runner of shuffled(runners)) await takeTurn(runner, what)
}
isLoading = false
await setTimeout(afterMs)
await count(performance.now())
console.log(
  `Node ${process.version}, ${cpus()[0]?.model}, ${cpus().length} cores; ${sockets} sockets, ${messages} messages and ${requests} requests a turn, ` +
    `${processes} processes a side, ${rounds} rounds after ${warmUps} to warm up, ${Math.round((performance.now() - startedAt) / 1000)} s`,
)
for (const what of works) {
  const [off, ...others] = sideNames.map((name) => ({ name, values: roundsOf(name, what) }))
  const base = off?.values ?? []
  const quietBase = quiet(off?.name ?? '', what)
  console.log(
    `\nCPU µs for one ${what}: median (lowest to highest), and what it is above \`${off?.name}\` of its round`,
  )
  console.table(
    Object.fromEntries([
      [off?.name, { µs: spread(base, 2), 'quiet µs': quietBase.toFixed(2) }],
      ...others.map(({ name, values }) => [
        name,
        {
          µs: spread(values, 2),
          'quiet µs': quiet(name, what).toFixed(2),
          'more % when quiet': ((quiet(name, what) / quietBase - 1) * 100).toFixed(1),
          'more µs': spread(
            values.map((value, at) => value - (base[at] ?? Number.NaN)),
            2,
          ),
          'more %': spread(
            values.map((value, at) => (value / (base[at] ?? Number.NaN) - 1) * 100),
            1,
          ),
        },
      ]),
    ]),
  )
}
for (const { child, clients } of runners) {
  for (const client of clients) client.terminate()
  child.disconnect()
}
await Promise.all(runners.map(({ child }) => once(child, 'exit')))
balance.close()
backends.stop()
await agent.close()
await sink[Symbol.asyncDispose]()
process.exit(0)
