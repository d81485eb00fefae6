import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { freePort } from './free-port.ts'
import { findRedis, type RedisBinary } from './redis-binary.ts'

/** A Redis of the test's own, empty at the start, without persistence, on 127.0.0.1. */
export interface TestRedis extends AsyncDisposable {
  readonly url: string
  readonly port: number
  /** Process id of the server that runs now; it changes with `restart`. */
  readonly pid: number
  /** Sends a signal: SIGKILL (crash), SIGSTOP (hang), SIGCONT. After SIGKILL it returns when the process is gone. */
  kill(signal: NodeJS.Signals): Promise<void>
  /** Kills it if it runs, and starts an empty one on the same port. */
  restart(): Promise<void>
  /** Ends it and removes its directory; may be called again. */
  stop(): void
}

export interface TestRedisOptions {
  /** More lines of configuration, as command line arguments: `['--maxmemory', '10mb']`. */
  readonly args?: readonly string[]
  /** How long one start may take, in ms. Default 15 000. */
  readonly startTimeoutMs?: number
  /** All arguments, instead of ours and `args`: for other servers that the same program can be. */
  readonly settings?: (dir: string, port: number) => readonly string[]
  /** In the line that says that the server is ready. Default: that it accepts connections. */
  readonly readyText?: string
}

interface Running {
  readonly child: ChildProcess
  readonly container: string | undefined
}

// One exit hook for all servers of a process: a hook each would trip Node's leak warning on a cluster of six.
const running = new Set<Running>()
function endAll(): void {
  for (const server of running) end(server)
}

function end(server: Running): void {
  running.delete(server)
  if (running.size === 0) process.off('exit', endAll)
  signalTo(server, 'SIGKILL')
}

function signalTo({ child, container }: Running, signal: NodeJS.Signals): void {
  if (container === undefined) child.kill(signal)
  else execFileSync('docker', ['kill', `--signal=${signal}`, container], { stdio: 'ignore' })
}

function launch(binary: RedisBinary, settings: readonly string[], dir: string): Running {
  const container = binary.kind === 'docker' ? `gw-redis-${process.pid}-${Date.now()}` : undefined
  const docker = [
    'run',
    '--rm',
    '--name',
    container ?? '',
    '--network=host',
    `--volume=${dir}:${dir}`,
    'redis:7-alpine',
    'redis-server',
  ]
  const child = spawn(binary.command, container === undefined ? settings : [...docker, ...settings], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, ...binary.env },
  })
  const server = { child, container }
  if (running.size === 0) process.on('exit', endAll)
  running.add(server)
  return server
}

/** Resolves when the server says that it accepts connections; rejects when it ends or is too slow. */
async function ready(
  { child }: Running,
  { text, timeoutMs }: { readonly text: string; readonly timeoutMs: number },
): Promise<void> {
  const { stdout } = child
  if (stdout === null) throw new Error('redis-server has no output')
  const lines = createInterface({ input: stdout })
  let last = ''
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`redis-server not ready: ${last}`)), timeoutMs)
    lines.on('line', (line) => {
      last = line
      if (line.includes(text)) resolve()
    })
    child.once('error', reject)
    child.once('exit', () => reject(new Error(`redis-server did not start: ${last}`)))
    lines.once('close', () => clearTimeout(timer))
  }).finally(() => lines.close())
  stdout.resume()
}

/** Starts a `redis-server` child on a free port, in 50 to 100 ms; the first time on a machine it may be downloaded. */
export async function startRedis(options: TestRedisOptions = {}): Promise<TestRedis> {
  const { args = [], startTimeoutMs = 15_000, readyText = 'eady to accept connections' } = options
  const binary = await findRedis()
  const dir = mkdtempSync(join(tmpdir(), 'gw-redis-'))
  const where = ['--bind', '127.0.0.1', '--dir', binary.kind === 'docker' ? '/tmp' : dir]
  const { settings = (_dir, port) => ['--port', String(port), ...where, '--save', '', ...args] } = options

  async function begin(port: number): Promise<Running> {
    const server = launch(binary, settings(dir, port), dir)
    try {
      await ready(server, { text: readyText, timeoutMs: startTimeoutMs })
      return server
    } catch (error) {
      end(server)
      throw error
    }
  }

  let port = await freePort()
  // Between the look for a free port and its use another process may take it: then the next one.
  let server = await begin(port).catch(async () => begin((port = await freePort())))

  async function crash(): Promise<void> {
    const { child } = server
    const gone = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined
    end(server)
    await gone
  }

  const redis: TestRedis = {
    url: `redis://127.0.0.1:${port}`,
    port,
    get pid() {
      return server.child.pid ?? 0
    },
    async kill(signal) {
      if (signal === 'SIGKILL') await crash()
      else signalTo(server, signal)
    },
    async restart() {
      await crash()
      server = await begin(port)
    },
    stop() {
      end(server)
      rmSync(dir, { recursive: true, force: true })
    },
    async [Symbol.asyncDispose]() {
      await crash()
      rmSync(dir, { recursive: true, force: true })
    },
  }
  return redis
}
