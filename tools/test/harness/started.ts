import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { takenPorts } from '../../lib/ports.ts'
import { root } from '../../lib/workspace.ts'

const variables = [
  'PORT',
  'METRICS_PORT',
  'INTERNAL_PORT',
  'BALANCE_GRPC_PORT',
  'PLAYER_GRPC_PORT',
  'GAME_GRPC_PORT',
  'EVENT_GRPC_PORT',
  'NOTIFY_GRPC_PORT',
  'BALANCE_HTTP_PORT',
  'DEMO_CONTROL_PORT',
  'DEMO_PAGE_PORT',
] as const

const firstPort = 12_000
const blockSize = 20
const blockCount = 1000
let blocks = 0

/** `npm start` as it runs for a user. */
export interface Started extends AsyncDisposable {
  readonly child: ChildProcess
  readonly url: string
  readonly output: () => string
  /** Process ids of what it started. */
  readonly children: () => readonly number[]
  readonly ended: Promise<number | NodeJS.Signals>
  /** Resolves when the output has the text; rejects with the output when the tool ends first. */
  readonly says: (text: string) => Promise<void>
}

/**
 * Free ports for everything that it listens on, below those that the system gives to outgoing connections: between the
 * look and the use nobody takes them, and each test process looks in a corner of its own.
 */
export async function ports(): Promise<Record<string, string>> {
  for (;;) {
    const first = firstPort + ((process.pid * 37 + blocks++) % blockCount) * blockSize
    const wanted = variables.map((variable, at) => ({ port: first + at, variable, owner: variable }))
    if ((await takenPorts(wanted, '127.0.0.1')).length > 0) continue
    return Object.fromEntries(wanted.map(({ port, variable }) => [variable, String(port)]))
  }
}

/** Starts it with nothing of this process's environment but PATH. */
export function start(env: Record<string, string>): Started {
  const child = spawn(process.execPath, ['--conditions=@gw/source', join(root, 'tools/run.js'), 'start'], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  const watchers = new Set<() => void>()
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      for (const watcher of watchers) watcher()
    })
  const ended = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'SIGKILL'))
  })
  return {
    child,
    url: `http://127.0.0.1:${env['PORT']}`,
    output: () => text,
    children: () => childrenOf(child.pid ?? 0),
    ended,
    says: async (wanted) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (text.includes(wanted)) resolve()
        }
        watchers.add(look)
        void ended.then(() => reject(new Error(`It ended without "${wanted}":\n${text}`)))
        look()
      }),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

function childrenOf(parent: number): readonly number[] {
  const list = `/proc/${parent}/task/${parent}/children`
  // A bare Linux has no `ps`, macOS no /proc.
  const ids = existsSync(list)
    ? readFileSync(list, 'utf8')
    : execFileSync('pgrep', ['-P', String(parent)], { encoding: 'utf8' })
  return ids.split(/\s+/).filter(Boolean).map(Number)
}
