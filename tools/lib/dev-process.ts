import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { root } from './workspace.ts'

/** The second as in docker/Dockerfile. */
const nodeFlags = ['--conditions=@gw/source', '--min-semi-space-size=16']
/** How many lines of output are kept for the report of a failure. */
const keptLines = 20

/** A program of ours that runs from source beside us, and does not outlive us. */
export interface DevProcess {
  readonly name: string
  readonly pid: number | undefined
  /** The last lines it wrote. */
  readonly output: readonly string[]
  /** Resolves with a phrase ("exit code 1") when it has ended, for any reason. */
  readonly ended: Promise<string>
  /** Resolves when a line satisfies the test; rejects with a sentence when the process ends first. */
  waitForLine(test: (line: string) => boolean): Promise<void>
  /** SIGTERM, then SIGKILL when it takes longer. Resolves when it is gone; true when it went by itself with code 0. */
  stop(deadlineMs: number): Promise<boolean>
  /** SIGKILL now. */
  kill(): void
}

export interface DevProcessOptions {
  readonly name: string
  /** TypeScript file, relative to the repository. */
  readonly entry: string
  readonly env: NodeJS.ProcessEnv
  readonly onLine: (line: string) => void
}

/** Starts `node <entry>` from source, in a process group of its own: Ctrl-C reaches only us, and we stop it. */
export function startProcess({ name, entry, env, onLine }: DevProcessOptions): DevProcess {
  const preload = join(import.meta.dirname, 'exit-with-parent.ts')
  const child = spawn(process.execPath, [...nodeFlags, '--import', preload, entry], {
    cwd: root,
    env,
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const output: string[] = []
  const listeners = new Set<(line: string) => void>()
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', (line) => {
      output.push(line)
      if (output.length > keptLines) output.shift()
      for (const listener of listeners) listener(line)
      onLine(line)
    })
  // The pipe only carries our death to the child; that the child went first is no news.
  child.stdin.on('error', () => {})

  let clean = false
  // `close` rather than `exit`: by then the last lines have been read.
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code, signal) => {
      clean = code === 0
      resolve(signal === null ? `exit code ${code}` : `signal ${signal}`)
    })
  })

  return {
    name,
    pid: child.pid,
    output,
    ended,
    async waitForLine(test) {
      await new Promise<void>((resolve, reject) => {
        listeners.add((line) => {
          if (test(line)) resolve()
        })
        void ended.then((how) => reject(new Error(`ended with ${how}`)))
      }).finally(() => listeners.clear())
    },
    async stop(deadlineMs) {
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), deadlineMs)
      await ended
      clearTimeout(timer)
      return clean
    },
    kill() {
      child.kill('SIGKILL')
    },
  }
}
