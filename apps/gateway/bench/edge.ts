/**
 * The edge beside control rows of the same run: proxied requests for each CPU-second of the front; added p99 at half and at
 * a quarter of what the slowest of them bears (median of turns of half a second, requests due at even distances; of all, and of
 * those in which the hypervisor took no time from this machine); memory while 1 GB goes through.
 * The load is `httpload.c`: one in Node took a third of a core, and its own pauses were in the p99 of all rows.
 *
 *   node --conditions=@gw/source bench/edge.ts [seconds] [rounds]      default 2 3; NGINX_BINARY=path where it isn't in the PATH
 *
 * Rows: `gateway` the real process from source, with request id, guard, security headers, CORS, token, limits of user and
 * address, identity headers, breaker, metrics, access log; `hpm` http-proxy-middleware on Express without any of these, as
 * it comes and with kept connections; `node` nothing but Node's own server and client, kept connections: what the runtime itself
 * takes; `nginx` one worker, kept connections. All pass the same paths of the same origin.
 */
import { type ChildProcess, execFile, fork, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort, signToken } from '@gw/testing'
import { compileC } from '@gw/testing/compile-c'
import { z } from 'zod'

const [seconds = 2, rounds = 3] = process.argv.slice(2).map(Number)
/** Short ones: a stall of the machine spoils a turn or two, and no median. */
const [latencyTurns, turnSeconds] = [24, 0.5]
const secret = 'only-for-benchmarks-0123456789-abcdefgh'
/** As many users as connections: one user may have 16 proxied requests at once. */
const users = Array.from({ length: 64 }, (_, at) => {
  const name = `user-${at}`
  return { authorization: `Bearer ${signToken({ sub: name, preferred_username: name }, secret)}` }
})
const [headers = { authorization: '' }] = users
const path = (size: number): string => `/api/accounts/ann/balance?size=${size}`
const ticksPerSecond = Number(spawnSync('getconf', ['CLK_TCK']).stdout.toString()) || 100

interface Front {
  readonly name: string
  readonly url: string
  /** The process that does the work. */
  readonly pid: number
}

const children: ChildProcess[] = []
const folder = mkdtempSync(join(tmpdir(), 'gw-edge-bench-'))

async function forked(file: string, args: readonly string[] = []): Promise<{ pid: number; url: string }> {
  const child = fork(new URL(file, import.meta.url), args)
  children.push(child)
  const [{ port }] = (await once(child, 'message')) as [{ port: number }]
  return { pid: child.pid ?? 0, url: `http://127.0.0.1:${port}` }
}

async function answers(url: string): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const up = await fetch(url, { headers }).then(
      (response) => response.ok,
      () => false,
    )
    if (up) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`${url} does not answer`)
}

async function startGateway(origin: string): Promise<Front> {
  const port = await freePort()
  const main = new URL('../src/main.ts', import.meta.url).pathname
  // As the image starts it.
  const flags = ['--conditions=@gw/source', '--min-semi-space-size=16']
  const child = spawn(process.execPath, [...flags, main], {
    env: {
      PATH: process.env['PATH'],
      HOST: '127.0.0.1',
      PORT: String(port),
      METRICS_HOST: '127.0.0.1',
      METRICS_PORT: '0',
      INTERNAL_PORT: '0',
      JWT_HS256_SECRET: secret,
      BALANCE_SERVICE_HTTP_URL: origin,
      HTTP_RATE_LIMIT_MAX: '10000000',
      PROXY_TIMEOUT_MS: '120000',
      PROXY_MAX_BODY_BYTES: '1073741824',
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  children.push(child)
  const url = `http://127.0.0.1:${port}`
  await answers(`${url}/health`)
  return { name: 'gateway, everything on', url, pid: child.pid ?? 0 }
}

async function startNginx(origin: string): Promise<Front | undefined> {
  const binary = process.env['NGINX_BINARY'] ?? 'nginx'
  if (spawnSync(binary, ['-v']).error) {
    console.log('nginx: not installed (apt install nginx), its row is left out')
    return undefined
  }
  const port = await freePort()
  for (const name of ['body', 'proxy', 'logs']) mkdirSync(join(folder, name))
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; pid ${folder}/pid; error_log stderr crit;
events { worker_connections 1024; }
http {
  access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/body; uwsgi_temp_path ${folder}/body; scgi_temp_path ${folder}/body;
  client_max_body_size 0; keepalive_requests 1000000;
  upstream origin { server ${new URL(origin).host}; keepalive 128; keepalive_requests 1000000; }
  server { listen 127.0.0.1:${port};
    location / { proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_max_temp_file_size 0; } }
}`,
  )
  const child = spawn(binary, ['-p', folder, '-c', join(folder, 'nginx.conf')], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  children.push(child)
  const url = `http://127.0.0.1:${port}`
  await answers(url + path(10))
  return { name: 'nginx, one worker', url, pid: child.pid ?? 0 }
}

/** CPU seconds that a process has used so far, user and system. */
function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

function rssMbOf(pid: number): number {
  const [, kb] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kb) / 1024
}

const httpload = await compileC(join(import.meta.dirname, 'httpload.c'))
const loadReport = z.object({ requests: z.int(), failed: z.int(), p50Ms: z.number(), p99Ms: z.number() })
type LoadReport = z.infer<typeof loadReport>

interface LoadOrder {
  readonly url: string
  readonly size: number
  readonly connections: number
  readonly seconds: number
  /** Requests per second, at even distances; without it each connection asks again as soon as it was answered. */
  readonly rate?: number
}

/** The heads of the requests for `size` bytes, one of each user. */
function requestsFile(size: number): string {
  const file = join(folder, `requests-${size}`)
  const heads = users.map(
    ({ authorization }) =>
      `GET ${path(size)} HTTP/1.1\r\nHost: gateway\r\nAuthorization: ${authorization}\r\n\r\n`,
  )
  writeFileSync(file, heads.join(''))
  return file
}

async function drive({
  url,
  size,
  connections,
  seconds: forSeconds,
  rate = 0,
}: LoadOrder): Promise<LoadReport> {
  const { port } = new URL(url)
  // At a fixed rate the connections are used once each before it counts.
  const settleMs = rate === 0 ? 0 : 300
  const options = [port, connections, requestsFile(size), rate, settleMs, forSeconds * 1000].map(String)
  const { stdout } = await promisify(execFile)(httpload, options)
  const report = loadReport.parse(JSON.parse(stdout))
  if (report.failed > 0) throw new Error(`${url}: ${report.failed} requests failed`)
  return report
}

const median = (values: readonly number[]): number =>
  values.toSorted((one, other) => one - other)[values.length >> 1] ?? Number.NaN

interface Measured {
  readonly perCpuSecond: number
  readonly perSecond: number
}

interface Load {
  readonly size: number
  readonly connections: number
  /** Until V8 has compiled what it will: a first second costs each of the Node rows twice as much. */
  readonly warmUpSeconds: number
}

async function measure(front: Front, { size, connections }: Omit<Load, 'warmUpSeconds'>): Promise<Measured> {
  const before = cpuSecondsOf(front.pid)
  const { requests } = await drive({ url: front.url, size, connections, seconds })
  return { perCpuSecond: requests / (cpuSecondsOf(front.pid) - before), perSecond: requests / seconds }
}

async function throughput(
  fronts: readonly Front[],
  { size, connections, warmUpSeconds }: Load,
): Promise<Map<string, Measured[]>> {
  const results = new Map<string, Measured[]>(fronts.map(({ name }) => [name, []]))
  for (const front of fronts) await drive({ url: front.url, size, connections, seconds: warmUpSeconds })
  // Round by round, so that a busy moment of the machine hits all rows.
  for (let round = 0; round < rounds; round++)
    for (const front of fronts) results.get(front.name)?.push(await measure(front, { size, connections }))
  return results
}

interface Turn extends LoadReport {
  /** Share of a CPU that the front's process used. */
  readonly busy: number
  /** No virtual CPU was ready to run and had to wait for the hypervisor, as far as ticks of 10 ms show it. */
  readonly undisturbed: boolean
}

/** Ticks that the hypervisor gave to others while this machine wanted to run: `steal` of proc_stat(5). Linux only. */
function stolenTicks(): number {
  return Number(readFileSync('/proc/stat', 'utf8').split(/\s+/, 9)[8])
}

/** What each front took in its turns. */
async function latencies(fronts: readonly Front[], rate: number): Promise<Map<string, Turn[]>> {
  const turns = new Map<string, Turn[]>(fronts.map(({ name }) => [name, []]))
  for (let turn = 0; turn < latencyTurns; turn++)
    for (const front of turn % 2 === 0 ? fronts : fronts.toReversed()) {
      const [cpuBefore, stolenBefore, startedAt] = [cpuSecondsOf(front.pid), stolenTicks(), performance.now()]
      const report = await drive({ url: front.url, size: 1000, connections: 64, seconds: turnSeconds, rate })
      const busy = (cpuSecondsOf(front.pid) - cpuBefore) / ((performance.now() - startedAt) / 1000)
      turns.get(front.name)?.push({ ...report, busy, undisturbed: stolenTicks() === stolenBefore })
    }
  return turns
}

function row(cells: readonly string[]): void {
  console.log(`| ${cells.map((cell, at) => (at === 0 ? cell.padEnd(28) : cell.padStart(24))).join(' | ')} |`)
}

/** How far the memory of a front goes above where it stood, while one request moves `bytes`. */
async function streamGrowth(front: Front, method: 'GET' | 'POST', bytes: number): Promise<number> {
  const startMb = rssMbOf(front.pid)
  let mostMb = startMb
  const watch = setInterval(() => {
    mostMb = Math.max(mostMb, rssMbOf(front.pid))
  }, 20)
  const outgoing = request(front.url + path(method === 'GET' ? bytes : 0), {
    method,
    headers: { ...headers, ...(method === 'POST' && { 'content-length': bytes }) },
  })
  const answered = once(outgoing, 'response')
  if (method === 'POST') {
    const chunk = Buffer.alloc(65_536)
    for (let left = bytes; left > 0; left -= chunk.length)
      if (!outgoing.write(left < chunk.length ? chunk.subarray(0, left) : chunk))
        await once(outgoing, 'drain')
  }
  outgoing.end()
  const [response] = (await answered) as [AsyncIterable<Buffer> & { statusCode?: number }]
  let received = 0
  for await (const part of response) received += part.length
  clearInterval(watch)
  if (response.statusCode !== 200 || (method === 'GET' && received !== bytes))
    throw new Error(`${front.name}: ${method} gave ${response.statusCode} and ${received} bytes`)
  return mostMb - startMb
}

try {
  const origin = await forked('edge-origin.ts')
  const gateway = await startGateway(origin.url)
  const bare: Front = { name: 'hpm on Express', ...(await forked('edge-control.ts', [origin.url, 'plain'])) }
  const kept: Front = {
    name: 'hpm, kept connections',
    ...(await forked('edge-control.ts', [origin.url, 'keepalive'])),
  }
  const node: Front = {
    name: 'Node’s http, nothing else',
    ...(await forked('edge-control.ts', [origin.url, 'node'])),
  }
  const nginx = await startNginx(origin.url)
  const fronts = [gateway, bare, kept, node, ...(nginx ? [nginx] : [])]
  console.log(
    `${cpus().length} × ${cpus()[0]?.model.trim()}, Node ${process.version}; median of ${rounds} × ${seconds} s (lowest to highest)\n`,
  )
  row(['requests per CPU-second', '1 kB', '1 MB'])
  row(['---', '---', '---'])
  const small = await throughput(fronts, { size: 1000, connections: 32, warmUpSeconds: 8 })
  const large = await throughput(fronts, { size: 1_000_000, connections: 8, warmUpSeconds: 3 })
  for (const { name } of fronts)
    row([
      name,
      ...[small, large].map((results) => {
        const all = (results.get(name) ?? []).map(({ perCpuSecond }) => perCpuSecond)
        return `${Math.round(median(all))} (${Math.round(Math.min(...all))} to ${Math.round(Math.max(...all))})`
      }),
    ])

  const bears = ({ name }: Front): number => median((small.get(name) ?? []).map(({ perSecond }) => perSecond))
  const slowest = Math.min(...fronts.map(bears))
  for (const [share, rate] of [
    ['half', Math.floor(slowest / 2)],
    ['a quarter', Math.floor(slowest / 4)],
  ] as const) {
    console.log('')
    row([`${share} of the slowest’s`, 'p50 ms', 'p99 ms', 'above the origin’s', 'undisturbed', 'busy'])
    row(['---', '---', '---', '---', '---', '---'])
    const direct: Front = { name: `origin alone, ${rate}/s`, url: origin.url, pid: origin.pid }
    const turns = await latencies([direct, ...fronts], rate)
    const p99Of = (all: readonly Turn[]): number => median(all.map(({ p99Ms }) => p99Ms))
    const quietOf = (name: string): readonly Turn[] =>
      (turns.get(name) ?? []).filter(({ undisturbed }) => undisturbed)
    for (const [name, all] of turns) {
      const quiet = quietOf(name)
      row([
        name,
        median(all.map(({ p50Ms }) => p50Ms)).toFixed(2),
        p99Of(all).toFixed(2),
        (p99Of(all) - p99Of(turns.get(direct.name) ?? [])).toFixed(2),
        `${(p99Of(quiet) - p99Of(quietOf(direct.name))).toFixed(2)} (${quiet.length} turns)`,
        `${Math.round(median(all.map(({ busy }) => busy)) * 100)} %`,
      ])
    }
  }

  console.log('')
  row(['1 GB through one request', 'download', 'upload'])
  row(['---', '---', '---'])
  for (const front of [gateway, kept]) {
    const down = await streamGrowth(front, 'GET', 1_000_000_000)
    const up = await streamGrowth(front, 'POST', 1_000_000_000)
    row([front.name, `+${down.toFixed(0)} MB`, `+${up.toFixed(0)} MB`])
  }
} finally {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
}
