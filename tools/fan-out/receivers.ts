/** The receiving side: one run of `wsload`, which connects, walks each connection through a script, then counts. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { isObject } from '../lib/workspace.ts'

export interface ReceiversOptions {
  /** Of `wsload`, compiled. */
  readonly program: string
  readonly url: string
  readonly count: number
  /** Files of its `-s` and `-K`. */
  readonly script?: string
  readonly tokens?: string
  /** Of the serving process. */
  readonly pid: number
  readonly answers?: readonly string[]
  readonly warmUpSeconds: number
  readonly seconds: number
  /** Called when all are connected and through the script: from here the warm-up runs. */
  readonly onReady: () => void
}

/** What was received in the window, and what it cost the server. */
export interface Received {
  readonly messages: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Sequence numbers that never came, or came twice. */
  readonly gaps: number
  readonly doubles: number
  readonly disconnects: number
  readonly cpuSeconds: number
  /** Of the server, from the first connection to the last. */
  readonly connectCpuSeconds: number
}

/** Handshakes under way at once: more only queue up in the server. */
const connecting = 32
/** For all of them; a gateway lets a few hundred in each second, since each costs calls to backends. */
const connectSeconds = 240

function numberAt(report: unknown, ...path: readonly string[]): number {
  let value = report
  for (const name of path) value = isObject(value) ? value[name] : undefined
  if (typeof value !== 'number') throw new Error(`wsload did not tell ${path.join('.')}`)
  return value
}

/** Throws when not everyone could connect. */
export async function receive(options: ReceiversOptions): Promise<Received> {
  const { program, url, count, script, tokens, pid, answers = [], warmUpSeconds, seconds, onReady } = options
  const numbers = { n: count, x: pid, w: warmUpSeconds, d: seconds, c: connecting, T: connectSeconds }
  const args = [
    '-u',
    url,
    ...Object.entries(numbers).flatMap(([option, value]) => [`-${option}`, String(value)]),
    ...(script === undefined ? [] : ['-s', script]),
    ...(tokens === undefined ? [] : ['-K', tokens]),
    ...answers.flatMap((answer) => ['-A', answer]),
  ]
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const errors: string[] = []
  createInterface({ input: child.stderr }).on('line', (line) => {
    if (line.startsWith('READY')) onReady()
    else errors.push(line)
  })
  let output = ''
  child.stdout.on('data', (data: Buffer) => (output += data.toString()))
  await once(child, 'close')
  if (output === '') throw new Error(`wsload ended without a report: ${errors.slice(-3).join('; ')}`)
  const report: unknown = JSON.parse(output)
  if (numberAt(report, 'connected') !== count)
    throw new Error(`${numberAt(report, 'connected')} of ${count} could connect to ${url}: ${output}`)
  return {
    messages: numberAt(report, 'msgs'),
    seconds: numberAt(report, 'window_s'),
    p50Ms: numberAt(report, 'lat_us', 'p50') / 1000,
    p99Ms: numberAt(report, 'lat_us', 'p99') / 1000,
    gaps: numberAt(report, 'gaps'),
    doubles: numberAt(report, 'dups'),
    disconnects: numberAt(report, 'disconnects'),
    cpuSeconds: numberAt(report, 'srv', 'cpu_s'),
    connectCpuSeconds: numberAt(report, 'srv', 'connect_cpu_s'),
  }
}
