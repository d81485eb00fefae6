/**
 * What one log line, one span and one HTTP request cost, beside the same work without this package.
 * Run: node --conditions=@gw/source bench/cost.ts
 */
import { once } from 'node:events'
import { Agent, get } from 'node:http'
import { cpus } from 'node:os'
import { Writable } from 'node:stream'
import express, { type RequestHandler } from 'express'
import { requestContext } from '../src/http.ts'
import { createLogger } from '../src/logger.ts'
import { createMetrics } from '../src/metrics.ts'
import { startTracing, withSpan } from '../src/tracing.ts'

const rounds = 9
const sink = new Writable({ write: (_chunk, _encoding, done) => done() })
const logger = createLogger({ service: 'bench', instanceId: 'i-1', stream: sink })
const metrics = createMetrics({ defaultMetrics: false })
const context = { route: '/api/things/:id', status: 200, durationMs: 1.25, userId: 'user-1' }
const results: { what: string; median: string; spread: string }[] = []

function report(what: string, microseconds: number[]): void {
  const sorted = microseconds.toSorted((a, b) => a - b)
  const at = (share: number): number => sorted[Math.floor((sorted.length - 1) * share)] ?? 0
  results.push({
    what,
    median: `${at(0.5).toFixed(2)} µs`,
    spread: `${at(0).toFixed(2)} to ${at(1).toFixed(2)}`,
  })
}

function measure(what: string, times: number, work: () => unknown): void {
  const runs = Array.from({ length: rounds }, () => {
    const startedAt = performance.now()
    for (let i = 0; i < times; i++) work()
    return ((performance.now() - startedAt) * 1000) / times
  })
  report(what, runs.slice(1))
}

async function measureHttp(what: string, middleware: RequestHandler[]): Promise<void> {
  const app = express()
  for (const one of middleware) app.use(one)
  app.get('/api/things/:id', (_request, response) => void response.json({ ok: true }))
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = address !== null && typeof address === 'object' ? address.port : 0
  const agent = new Agent({ keepAlive: true, maxSockets: 8 })
  const request = (): Promise<void> =>
    new Promise((resolve, reject) => {
      get({ port, host: '127.0.0.1', path: '/api/things/7', agent }, (response) => {
        response.resume().once('end', resolve)
      }).once('error', reject)
    })
  const runs: number[] = []
  for (let round = 0; round < rounds; round++) {
    const before = process.cpuUsage()
    for (let i = 0; i < 125; i++) await Promise.all(Array.from({ length: 8 }, request))
    const { user, system } = process.cpuUsage(before)
    runs.push((user + system) / 1000)
  }
  report(what, runs.slice(1))
  agent.destroy()
  server.close()
}

const none = (): number => 1
measure('control: JSON.stringify and write', 5000, () => sink.write(`${JSON.stringify(context)}\n`))
measure('log line written', 5000, () => logger.info('http_request', context))
const gathering = createLogger({ service: 'bench', instanceId: 'i-1', stream: sink, joinMs: 20 })
const writeLine = gathering.lines('http_request', {
  route: 'text',
  status: 'id',
  durationMs: 'id',
  userId: 'text',
})
measure('log line, gathered as for stdout', 5000, () => gathering.info('http_request', context))
measure('the same by `lines`', 5000, () =>
  writeLine([context.route, context.status, context.durationMs, context.userId]),
)
measure('log line below the level', 500_000, () => logger.debug('event', context))
measure('control: function call', 500_000, none)
measure('withSpan, tracing disabled', 500_000, () => withSpan('op', {}, none))
await measureHttp('control: request without it (CPU, client included)', [])
await measureHttp('request, tracing disabled', [requestContext({ logger, metrics })])
const exporter = {
  export: (_spans: unknown, done: (result: { code: number }) => void): void => done({ code: 0 }),
  shutdown: (): Promise<void> => Promise.resolve(),
}
const options = { serviceName: 'b', serviceVersion: '1', instanceId: 'i', endpoint: '', exporter }
for (const sampleRatio of [0, 1]) {
  const tracing = startTracing({ ...options, sampleRatio, maxQueueSize: 100_000 })
  measure(`withSpan, sampled ${sampleRatio * 100} %`, 2000, () => withSpan('op', { parent: 'root' }, none))
  await measureHttp(`request, sampled ${sampleRatio * 100} %`, [requestContext({ logger, metrics })])
  await tracing.shutdown(5000)
}
console.log(`Node ${process.version}, ${cpus()[0]?.model}, ${cpus().length} cores, ${rounds - 1} rounds`)
console.table(results)
