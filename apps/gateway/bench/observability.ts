/**
 * What logs, metrics and traces cost the gateway: CPU time for each delivery of a fan-out and for each proxied request, with
 * everything off, with each alone, and with everything on at its defaults. One gateway takes turns of some 20 to 60 ms with what is
 * on, in any order: two gateways of the same code, or the same one half a second later, differ by more than what is to be
 * measured. `off again` is a second `off` and shows what is noise; several processes, one after another, show what is chance of
 * one.
 *
 *   node --conditions=@gw/source bench/observability.ts [rounds] [side ...]      default: 10 rounds a process, all sides
 *
 * Off is what an operator can set: `LOG_LEVEL=error`, `OTEL_SDK_DISABLED=true`; metrics, which have no switch, take nothing. What
 * metrics cost an idle process, and their look at each garbage collection, are in all sides. With `PROFILE=folder` each process
 * leaves a CPU profile there; with `ONLY='proxied request'` or `ONLY=delivery` nothing else is measured; `SOCKETS=1000` instead
 * of 100 get each message; `PROCESSES=1` instead of 3.
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
import type { Switches } from './gateway-host.ts'

const secret = 'only-for-the-bench-0123456789-abcdefghijk'
const sockets = Number(process.env['SOCKETS'] ?? 100)
/** Of one turn. */
const [messages, requests] = [20_000 / sockets, 500]
const [atOnce, warmUps] = [16, 4]
const processes = Number(process.env['PROCESSES'] ?? 3)
/** The spans of a round are sent when its turns are over, and counted then, without what goes on right behind a load. */
const [sendingFromMs, spansAfterMs, sentAfterMs, idleMs] = [8900, 9000, 9600, 3000]
const listening = z.object({ port: z.int(), internalPort: z.int() })
const usage = z.object({ cpuMicroseconds: z.number() })

const nothing = { logs: false, metrics: false, traces: false }
const setups: Readonly<Record<string, Switches>> = {
  off: nothing,
  'off again': nothing,
  logs: { ...nothing, logs: true },
  metrics: { ...nothing, metrics: true },
  traces: { ...nothing, traces: true },
  on: { logs: true, metrics: true, traces: true },
}
const [givenRounds = '10', ...givenSides] = process.argv.slice(2)
const rounds = Number(givenRounds)
const sides = (givenSides.length === 0 ? Object.keys(setups) : givenSides).map((name) => {
  const on = setups[name]
  if (!on) throw new Error(`${name} is no side: ${Object.keys(setups).join(', ')}`)
  return { name, on }
})

/** Of a round, for its turns. */
const loadMs = 8000

type What = 'delivery' | 'proxied request'

const bothWorks: readonly What[] = ['proxied request', 'delivery']
const works = bothWorks.filter((what) => (process.env['ONLY'] ?? what) === what)

/** One process. */
interface Runner {
  readonly child: ChildProcess
  readonly url: string
  readonly publish: (at: number) => Promise<unknown>
  readonly clients: readonly WebSocket[]
}

/** CPU microseconds by side. */
type Turns = ReadonlyMap<string, number>

/** By side: CPU microseconds for one, a figure for each round. */
type Results = ReadonlyMap<string, Readonly<Record<What, number[]>>>

/** What is kept of one trace in a hundred has to run as often as in a process that is up for hours, before it counts. */
let isWarm = false

function traceparentOf(isKept: boolean): string {
  return `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0${isKept ? 1 : 0}`
}

const token = (user: string): string => signToken({ sub: user }, secret)

async function connect(url: string, user: string): Promise<WebSocket> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, {
    headers: { authorization: `Bearer ${token(user)}` },
  })
  await once(socket, 'message')
  return socket
}

async function start(at: number, env: Readonly<Record<string, string>>): Promise<Runner> {
  const folder = process.env['PROFILE']
  const profiling =
    folder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-name=${at}.cpuprofile`]
  const child = fork(join(import.meta.dirname, 'gateway-host.ts'), {
    // As the image starts it, but for the collection of all garbage that V8 begins when a process idles.
    execArgv: ['--conditions=@gw/source', '--min-semi-space-size=16', '--no-memory-reducer', ...profiling],
    env: { PATH: process.env['PATH'] ?? '', ...env },
    // Somebody reads the log, as a shipper does.
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  child.stdout?.resume()
  child.once('exit', (code) => {
    if (code !== 0) process.exit(1)
  })
  const [started]: unknown[] = await once(child, 'message')
  const { port, internalPort } = listening.parse(started)
  const url = `http://127.0.0.1:${port}`
  const client = createServiceClient(PublisherService, {
    address: `127.0.0.1:${internalPort}`,
    credentials: credentials.createInsecure(),
    timeoutMs: 30_000,
    // Of the publishers as many are traced as by default.
    metadata: () => ({ traceparent: traceparentOf(!isWarm || Math.random() < 0.01) }),
  })
  const payload = { type: 'Notice', title: 'x'.repeat(200) }
  const clients = await Promise.all(
    Array.from({ length: sockets }, async (_, user) => connect(url, `user-${user}`)),
  )
  return {
    child,
    url,
    clients,
    publish: (count) =>
      client.publish({
        channel: 'all',
        payloadJson: new TextEncoder().encode(JSON.stringify({ ...payload, at: count })),
      }),
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
const tracedHeaders = { ...headers, traceparent: traceparentOf(true) }

async function proxyOnce(url: string, own: Readonly<Record<string, string>>): Promise<void> {
  const path = '/api/accounts/user-0/balance'
  const { statusCode, body } = await request(url + path, { headers: own, dispatcher: agent })
  await body.text()
  if (statusCode !== 200) throw new Error(`the proxy answered ${statusCode}`)
}

async function proxy({ url }: Runner): Promise<void> {
  await pump(requests, () => proxyOnce(url, isWarm ? headers : tracedHeaders))
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

/** What `child` has used so far. From now on only what is `on` is. */
async function cpuOf(child: ChildProcess, on?: Switches): Promise<number> {
  child.send(on ?? 'cpu')
  const [answer]: unknown[] = await once(child, 'message')
  return usage.parse(answer).cpuMicroseconds
}

/** In any order: what came before a turn changes what it costs. */
function shuffled<T>(items: readonly T[]): readonly T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ item }) => item)
}

/** A turn of each side, in any order: CPU microseconds by side. */
async function takeTurns({ child }: Runner, run: () => Promise<void>): Promise<Turns> {
  const used = new Map<string, number>()
  for (const { name, on } of shuffled(sides)) {
    const before = await cpuOf(child, on)
    await run()
    used.set(name, (await cpuOf(child)) - before)
  }
  return used
}

/**
 * Without those in which one took three times what it mostly takes: a full collection fell into it, or the machine was taken
 * away. That costs as much as ten turns, and falls where it will.
 */
function ordinary(all: readonly Turns[]): readonly Turns[] {
  const most = new Map(sides.map(({ name }) => [name, 3 * median(all.map((turns) => turns.get(name) ?? 0))]))
  return all.filter((turns) => [...turns].every(([name, used]) => used <= (most.get(name) ?? 0)))
}

/** Of all processes. */
let [allTurns, leftOut] = [0, 0]

/**
 * One round: microseconds for one, by side. Nothing when it took so long that spans were sent among its turns: the first one,
 * which is made here, sets the time for all.
 */
async function takeRound(
  { what, idlePerMs }: { readonly what: What; readonly idlePerMs: number },
  runner: Runner,
): Promise<ReadonlyMap<string, number> | undefined> {
  await cpuOf(runner.child, setups['on'])
  await proxyOnce(runner.url, tracedHeaders)
  await cpuOf(runner.child)
  const startedAt = performance.now()
  const taken: Turns[] = []
  while (performance.now() < startedAt + loadMs)
    taken.push(await takeTurns(runner, () => work[what].run(runner)))
  const left = startedAt + sendingFromMs - performance.now()
  await setTimeout(Math.max(0, left))
  const [idlesFrom, before] = [performance.now(), await cpuOf(runner.child)]
  await setTimeout(sentAfterMs - sendingFromMs)
  const sending = (await cpuOf(runner.child)) - before - idlePerMs * (performance.now() - idlesFrom)
  if (left < 0) return undefined
  const counted = ordinary(taken)
  allTurns += taken.length
  leftOut += taken.length - counted.length
  const traced = sides.filter(({ on }) => on.traces).length
  return new Map(
    sides.map(({ name, on }) => {
      const inTurns = mean(counted.map((turns) => turns.get(name) ?? 0))
      const afterwards = on.traces ? sending / traced / taken.length : 0
      return [name, (inTurns + afterwards) / work[what].times]
    }),
  )
}

/** All rounds of one process, but for those that warm up. */
async function measure(runner: Runner): Promise<Results> {
  const { child, clients } = runner
  const results: Results = new Map(sides.map(({ name }) => [name, { delivery: [], 'proxied request': [] }]))
  let idlePerMs = 0
  for (let round = 0; round < warmUps + rounds; round++) {
    isWarm = round >= warmUps
    if (round === warmUps) {
      // Spans that are left are sent: a round's first one then sets the time for all of the round.
      await setTimeout(sentAfterMs)
      const before = await cpuOf(child)
      await setTimeout(idleMs)
      idlePerMs = ((await cpuOf(child)) - before) / idleMs
    }
    for (const what of works)
      for (const [name, microseconds] of (await takeRound({ what, idlePerMs }, runner)) ?? [])
        if (round >= warmUps) results.get(name)?.[what].push(microseconds)
  }
  for (const client of clients) client.terminate()
  child.disconnect()
  await once(child, 'exit')
  return results
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** What a mean of logarithms of ratios says: of ratios as they are the mean is above 1 where both sides are the same. */
function percentOf(logarithm: number): string {
  return (Math.expm1(logarithm) * 100).toFixed(1)
}

/** How far the mean of `values` may be off: its standard error. */
function errorOf(values: readonly number[]): number {
  const middle = mean(values)
  const variance = values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1)
  return Math.sqrt(variance / values.length)
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
  OTEL_BSP_SCHEDULE_DELAY: String(spansAfterMs),
  // No batch is full before: its sending would fall into a turn.
  OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '4096',
  OTEL_BSP_MAX_QUEUE_SIZE: '8192',
}
stayAwake()
const startedAt = performance.now()
const measured: Results[] = []
for (let at = 0; at < processes; at++) {
  measured.push(await measure(await start(at, env)))
  console.log(`process ${at + 1} of ${processes}: ${Math.round((performance.now() - startedAt) / 1000)} s`)
}
isLoading = false
console.log(
  `Node ${process.version}, ${cpus()[0]?.model}, ${cpus().length} cores; ${sockets} sockets; ` +
    `${rounds} rounds of ${loadMs} ms after ${warmUps} to warm up in each of ${processes} processes, in turns of ${messages} messages or ${requests} requests; ${leftOut} of ${allTurns} times all sides left out`,
)
for (const what of works) {
  console.log(
    `\nCPU µs for one ${what}; what it is above \`${sides[0]?.name}\` of its round, with the standard error; the same by process`,
  )
  console.table(
    Object.fromEntries(
      sides.map(({ name }) => {
        const more = measured.map((results) => {
          const base = results.get(sides[0]?.name ?? '')?.[what]
          const own = results.get(name)?.[what] ?? []
          return own.map((value, round) => Math.log(value / (base?.[round] ?? Number.NaN)))
        })
        return [
          name,
          {
            µs: mean(measured.flatMap((results) => results.get(name)?.[what] ?? [])).toFixed(2),
            'more %': `${percentOf(mean(more.flat()))} ± ${(errorOf(more.flat()) * 100).toFixed(1)}`,
            'by process': more.map((values) => percentOf(mean(values))).join(', '),
          },
        ]
      }),
    ),
  )
}
balance.close()
backends.stop()
await agent.close()
await sink[Symbol.asyncDispose]()
process.exit(0)
