import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'

const root = resolve(import.meta.dirname, '../../../..')

/** One JSON line of a process. */
export interface LogLine {
  readonly msg: string
  readonly level: string
  readonly [field: string]: unknown
}

export interface AppProcessOptions {
  readonly app: 'gateway' | 'demo'
  /** What is run of the app. Default `src/main.ts`. */
  readonly entry?: string
  readonly env: Readonly<Record<string, string>>
  /** For the first line waited for. Default 45 000. */
  readonly timeoutMs?: number
  /** How many files the process may have open, sockets included. Default: as many as this one. */
  readonly openFiles?: number
}

/** A real process of an app, run from source with nothing of this process's environment but PATH. */
export interface AppProcess extends AsyncDisposable {
  readonly pid: number
  readonly lines: readonly LogLine[]
  /** Everything that it wrote, for canary searches. */
  readonly output: () => string
  /** The first line with `msg`, also one of the past. */
  line(msg: string, timeoutMs?: number): Promise<LogLine>
  /** Sends the signal; resolves with the exit code and signal when the process is gone. */
  kill(signal: NodeJS.Signals): Promise<{ readonly code: number | null; readonly signal: string | null }>
  signal(signal: NodeJS.Signals): void
  readonly exited: Promise<{ readonly code: number | null; readonly signal: string | null }>
}

function parseLine(text: string): LogLine | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && 'msg' in value ? (value as LogLine) : undefined
  } catch {
    return undefined
  }
}

async function exitOf(child: ChildProcess) {
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
  return { code, signal }
}

const running = new Set<ChildProcess>()

/** Also those of a test file that failed before it could end them. */
function killRunning(): void {
  for (const child of running) child.kill('SIGKILL')
}

export function startApp(options: AppProcessOptions): AppProcess {
  const { app, entry = 'src/main.ts', env, timeoutMs = 45_000, openFiles } = options
  const main = resolve(root, `apps/${app}`, entry)
  const line = [process.execPath, '--conditions=@gw/source', main]
  const limited = ['sh', '-c', `ulimit -n ${openFiles} && exec "$0" "$@"`, ...line]
  const [command = '', ...args] = openFiles === undefined ? line : limited
  const child = spawn(command, args, {
    cwd: root,
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  if (!process.listeners('exit').includes(killRunning)) process.on('exit', killRunning)
  running.add(child)
  child.once('exit', () => running.delete(child))
  const lines: LogLine[] = []
  const raw: string[] = []
  const waiting = new Set<(line: LogLine) => void>()
  const exited = exitOf(child)
  createInterface({ input: child.stdout }).on('line', (text) => {
    raw.push(text)
    const line = parseLine(text)
    if (!line) return
    lines.push(line)
    for (const notify of waiting) notify(line)
  })
  createInterface({ input: child.stderr }).on('line', (text) => raw.push(text))

  async function lineOf(msg: string, waitMs = timeoutMs): Promise<LogLine> {
    const known = lines.find((candidate) => candidate.msg === msg)
    if (known) return known
    const { promise, resolve: found, reject } = Promise.withResolvers<LogLine>()
    const notify = (candidate: LogLine): void => {
      if (candidate.msg === msg) found(candidate)
    }
    const fail = (why: string): void =>
      reject(new Error(`${app}: ${why} before '${msg}'; last output:\n${raw.slice(-10).join('\n')}`))
    const late = setTimeout(() => fail(`${waitMs} ms passed`), waitMs)
    void exited.then(({ code }) => fail(`it exited with ${code}`))
    waiting.add(notify)
    try {
      return await promise
    } finally {
      clearTimeout(late)
      waiting.delete(notify)
    }
  }

  return {
    pid: child.pid ?? -1,
    lines,
    output: () => raw.join('\n'),
    line: lineOf,
    exited,
    signal: (signal) => void child.kill(signal),
    async kill(signal) {
      child.kill(signal)
      return exited
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await exited
    },
  }
}
