/**
 * What logs, metrics and traces cost the gateway: CPU time for each delivery of a fan-out and for each proxied request, with
 * everything on at its defaults and with everything off, in turns within one run.
 * Run: node --conditions=@gw/source bench/observability.ts
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { credentials } from '@grpc/grpc-js'
import { signToken, startOtlpSink } from '@gw/testing'
import { Agent, request } from 'undici'
import { WebSocket } from 'ws'
import { z } from 'zod'
import { PublisherService } from '../src/grpc/gen/gateway/v1/publisher_pb.ts'
import { createServiceClient } from '../src/grpc/service-client.ts'

const secret = 'only-for-the-bench-0123456789-abcdefghijk'
const [sockets, messages, requests, atOnce, rounds] = [50, 600, 800, 16, 5]
const ports = z.object({ port: z.int(), internalPort: z.int() })
const usage = z.object({ cpuMicroseconds: z.number() })

interface Side {
  readonly name: 'on' | 'off'
  readonly child: ChildProcess
  readonly url: string
  readonly publish: (at: number) => Promise<unknown>
  readonly clients: readonly WebSocket[]
  readonly results: { readonly fanOut: number[]; readonly proxy: number[] }
}

const token = (user: string): string => signToken({ sub: user }, secret)

async function connect(url: string, user: string): Promise<WebSocket> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, {
    headers: { authorization: `Bearer ${token(user)}` },
  })
  await once(socket, 'message')
  return socket
}

async function start(name: 'on' | 'off', env: Readonly<Record<string, string>>): Promise<Side> {
  const child = fork(join(import.meta.dirname, 'gateway-host.ts'), [name], {
    execArgv: ['--conditions=@gw/source'],
    env: { PATH: process.env['PATH'] ?? '', ...env },
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
    // A tenth of the publishers is traced, as by default.
    metadata: () => ({
      traceparent: `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0${Math.random() < 0.1 ? 1 : 0}`,
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
    results: { fanOut: [], proxy: [] },
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

async function fanOut({ child, clients, publish, results }: Side): Promise<void> {
  const all = Promise.withResolvers<void>()
  let left = sockets * messages
  const onMessage = (data: Buffer): void => {
    if (data.includes('"Notice"') && --left === 0) all.resolve()
  }
  for (const client of clients) client.on('message', onMessage)
  const before = await cpuOf(child)
  await pump(messages, publish)
  await all.promise
  results.fanOut.push(((await cpuOf(child)) - before) / (sockets * messages))
  for (const client of clients) client.off('message', onMessage)
}

const agent = new Agent({ connections: atOnce })

async function proxy({ child, url, results }: Side): Promise<void> {
  const headers = { authorization: `Bearer ${token('user-0')}` }
  const before = await cpuOf(child)
  await pump(requests, async () => {
    const { statusCode, body } = await request(`${url}/api/accounts/user-0/balance`, {
      headers,
      dispatcher: agent,
    })
    await body.text()
    if (statusCode !== 200) throw new Error(`the proxy answered ${statusCode}`)
  })
  results.proxy.push(((await cpuOf(child)) - before) / requests)
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

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
  OTEL_EXPORTER_OTLP_ENDPOINT: sink.endpoint,
}
const sides = [await start('off', env), await start('on', env)]
for (let round = 0; round < rounds; round++)
  for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
    await fanOut(side)
    await proxy(side)
  }
console.log(
  `Node ${process.version}, ${cpus()[0]?.model}, ${cpus().length} cores; ${sockets} sockets, ${messages} messages, ${requests} requests a round, ${rounds - 1} rounds after one to warm up`,
)
console.table(
  (['fanOut', 'proxy'] as const).map((what) => {
    const [off, on] = sides.map(({ results }) => results[what].slice(1))
    if (!off || !on) throw new Error('no results')
    const spread = (values: readonly number[]): string =>
      `${median(values).toFixed(3)} (${Math.min(...values).toFixed(3)} to ${Math.max(...values).toFixed(3)})`
    return {
      'CPU µs for each': what === 'fanOut' ? 'delivery' : 'proxied request',
      'all off': spread(off),
      'all on': spread(on),
      more: `${((median(on) / median(off) - 1) * 100).toFixed(1)} %`,
    }
  }),
)
for (const { child, clients } of sides) {
  for (const client of clients) client.terminate()
  child.disconnect()
}
balance.close()
await agent.close()
await sink[Symbol.asyncDispose]()
process.exit(0)
