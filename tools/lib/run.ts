import { spawn } from 'node:child_process'
import { root } from './workspace.ts'

/** How a command ended. */
export interface RunResult {
  /** 0 to 255; 1 when it could not be started or was ended by a signal. */
  readonly code: number
  /** stdout and stderr, in the order they came; empty when inherited. */
  readonly output: string
}

export interface RunOptions {
  /** Default: the repository. */
  readonly cwd?: string
  /** Added to our own environment. */
  readonly env?: Readonly<Record<string, string>>
  /** The command writes to our terminal instead of into the result. Default false. */
  readonly inherit?: boolean
}

const defaults = { TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1' }

/** Runs a command to its end. Never rejects: what went wrong is in the result. */
export async function run(command: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { cwd = root, env = {}, inherit = false } = options
  const [file = '', ...args] = command
  const child = spawn(file, args, {
    cwd,
    env: { ...process.env, ...defaults, ...env },
    stdio: ['ignore', inherit ? 'inherit' : 'pipe', inherit ? 'inherit' : 'pipe'],
  })
  const chunks: Buffer[] = []
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
    })
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: 1, output: `${file}: ${error.message}` }))
    child.once('close', (code) => resolve({ code: code ?? 1, output: Buffer.concat(chunks).toString() }))
  })
}
