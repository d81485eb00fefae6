/**
 * What logs, metrics and traces cost the gateway: CPU time for each delivery of a fan-out and for each proxied request, with
 * everything off, with each alone, and with everything on at its defaults. The sides take turns of a tenth of a second, so
 * that each round sees the same machine; `off again` is a second `off` and shows what is noise.
 *
 *   node --conditions=@gw/source bench/observability.ts [rounds] [side ...]      default: 60 rounds, all sides
 *
 * Off is what an operator can set: `LOG_LEVEL=error`, `OTEL_SDK_DISABLED=true`; metrics, which have no switch, become empty
 * objects. With `PROFILE=folder` each gateway leaves a CPU profile there; with
 * `ONLY='proxied request'` or `ONLY=delivery` nothing else is measured.
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
const [sockets, messages, requests, atOnce, warmUps] = [100, 100, 1000, 16, 8]
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
const [givenRounds = '60', ...givenSides] = process.argv.slice(2)
const rounds = Number(givenRounds)
const sideNames = givenSides.length === 0 ? Object.keys(setups) : givenSides

type What = 'delivery' | 'proxied request'

const bothWorks: readonly What[] = ['proxied request', 'delivery']
const works = bothWorks.filter((what) => (process.env['ONLY'] ?? what) === what)

interface Side {
  readonly name: string
  readonly child: ChildProcess
  readonly url: string
  readonly publish: (at: number) => Promise<unknown>
  readonly clients: readonly WebSocket[]
  /** CPU microseconds for one, a figure for each turn. */
  readonly results: Readonly<Record<What, number[]>>
  /** The turn that the CPU time is counted for, up to the next one: the spans of a turn are sent after it. */
  counted: { readonly what: What; readonly cpuBefore: number } | undefined
}

const token = (user: string): string => signToken({ sub: user }, secret)

async function connect(url: string, user: string): Promise<WebSocket> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, {
    headers: { authorization: `Bearer ${token(user)}` },
  })
  await once(socket, 'message')
  return socket
}

async function start(name: string, env: Readonly<Record<string, string>>): Promise<Side> {
  const { hasMetrics, env: own } = setups[name] ?? allOff
  const folder = process.env['PROFILE']
  const child = fork(join(import.meta.dirname, 'gateway-host.ts'), hasMetrics ? ['metrics'] : [], {
    execArgv: [
      '--conditions=@gw/source',
      ...(folder === undefined
        ? []
        : ['--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-name=${name}.cpuprofile`]),
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

async function fanOut({ clients, publish }: Side): Promise<void> {
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

async function proxy({ url }: Side): Promise<void> {
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

async function takeTurn(side: Side, what: What | undefined): Promise<void> {
  const cpu = await cpuOf(side.child)
  const { counted, results } = side
  if (counted) results[counted.what].push((cpu - counted.cpuBefore) / work[counted.what].times)
  side.counted = what && { what, cpuBefore: cpu }
  if (what) await work[what].run(side)
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
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
  BALANCE_SERVICE_HTTP_URL: `127.0.0.1:${typeof address === 'object' ? address?.port : 0}`,
  EVENT_SERVICE_URL: `127.0.0.1:${backends.port}`,
  GAME_SERVICE_URL: `127.0.0.1:${backends.port}`,
  OTEL_EXPORTER_OTLP_ENDPOINT: sink.endpoint,
  // Before the gateway's next turn. The default of 2 s makes fewer and larger batches.
  OTEL_BSP_SCHEDULE_DELAY: '500',
}
const sides: Side[] = []
stayAwake()
for (const name of sideNames) sides.push(await start(name, env))
const startedAt = performance.now()
for (let round = 0; round < warmUps + rounds; round++)
  for (const what of works)
    for (const side of round % 2 === 0 ? sides : sides.toReversed()) await takeTurn(side, what)
isLoading = false
await setTimeout(1000)
for (const side of sides) await takeTurn(side, undefined)
console.log(
  `Node ${process.version}, ${cpus()[0]?.model}, ${cpus().length} cores; ${sockets} sockets, ${messages} messages and ${requests} requests a turn, ` +
    `${rounds} rounds after ${warmUps} to warm up, ${Math.round((performance.now() - startedAt) / 1000)} s`,
)
for (const what of works) {
  const of = (side: Side | undefined): readonly number[] => side?.results[what].slice(warmUps) ?? []
  const [off, ...others] = sides.map((side) => ({ name: side.name, values: of(side) }))
  const base = off?.values ?? []
  console.log(
    `\nCPU µs for one ${what}: median (lowest to highest), and what it is above \`${off?.name}\` of its round`,
  )
  console.table(
    Object.fromEntries([
      [off?.name, { µs: spread(base, 2) }],
      ...others.map(({ name, values }) => [
        name,
        {
          µs: spread(values, 2),
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
for (const { child, clients } of sides) {
  for (const client of clients) client.terminate()
  child.disconnect()
}
await Promise.all(sides.map(({ child }) => once(child, 'exit')))
balance.close()
backends.stop()
await agent.close()
await sink[Symbol.asyncDispose]()
process.exit(0)
