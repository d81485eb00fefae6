import { withDeadline } from '../deadline.ts'
import { PubSubError } from '../errors.ts'
import type { RedisArgument, RedisCommands } from './redis-client.ts'
import type { Script } from './scripts.ts'

export interface ScriptRunnerOptions {
  /** The connection now; it may be another one at the next call. */
  readonly client: () => RedisCommands
  /** From the call to the answer, waiting for a connection included, in ms. */
  readonly timeoutMs: number
  /** Commands sent and not answered, and calls that wait for a connection. */
  readonly maxPending: number
}

export interface ScriptCall {
  readonly script: Script
  readonly keys: readonly string[]
  readonly args: readonly RedisArgument[]
  /** Sent also when nothing has been answered for longer than the deadline: how the end of a hang is noticed. */
  readonly urgent?: boolean
}

/**
 * Sends scripts with a deadline and a bound. Nothing is handed to the client's own offline queue, which has no limit:
 * calls wait here for the connection, and a call whose time is over is never sent.
 */
export class ScriptRunner {
  readonly #options: ScriptRunnerOptions
  readonly #waiting = new Set<() => void>()
  #unanswered = 0
  #answeredAtMs = 0

  constructor(options: ScriptRunnerOptions) {
    this.#options = options
  }

  /** Rejects with `unavailable`. */
  async run(call: ScriptCall): Promise<unknown> {
    const { timeoutMs, maxPending } = this.#options
    if (this.#unanswered + this.#waiting.size >= maxPending)
      return refuse('Redis: too many commands wait for an answer')
    if (this.#silentMs() > timeoutMs && call.urgent !== true) return refuse('Redis does not answer')
    const startMs = performance.now()
    if (this.#options.client().status !== 'ready') await this.#ready(timeoutMs)
    const leftMs = Math.max(1, timeoutMs - (performance.now() - startMs))
    if (this.#unanswered === 0) this.#answeredAtMs = performance.now()
    return withDeadline(this.#send(call), leftMs, 'Redis')
  }

  /** How long commands have been waiting without any answer; 0 when none waits. */
  #silentMs(): number {
    return this.#unanswered === 0 ? 0 : performance.now() - this.#answeredAtMs
  }

  /** The connection is ready: those who wait for it go on. */
  wake(): void {
    for (const wake of this.#waiting) wake()
  }

  async #ready(timeoutMs: number): Promise<void> {
    let wake = (): void => {}
    const ready = new Promise<void>((resolve) => {
      wake = resolve
    })
    this.#waiting.add(wake)
    try {
      await withDeadline(ready, timeoutMs, 'Redis is not connected')
    } finally {
      this.#waiting.delete(wake)
    }
  }

  async #send({ script, keys, args }: ScriptCall): Promise<unknown> {
    const client = this.#options.client()
    const rest = [keys.length, ...keys, ...args]
    this.#unanswered++
    try {
      return await client.callBuffer('evalsha', [script.sha1, ...rest]).catch(async (error: unknown) => {
        if (replyCode(error) === 'NOSCRIPT') return client.callBuffer('eval', [script.lua, ...rest])
        throw error
      })
    } catch (error) {
      return await refuse('Redis cannot take the command now', error)
    } finally {
      this.#unanswered--
      this.#answeredAtMs = performance.now()
    }
  }
}

/**
 * Lost links, redirections without an end, OOM, READONLY, a cluster that is down: all of them pass. In the next turn: a
 * caller who tries again at once must not keep the event loop from hearing that it has passed.
 */
async function refuse(message: string, cause?: unknown): Promise<never> {
  await new Promise((resolve) => setImmediate(resolve))
  throw new PubSubError('unavailable', message, { cause })
}

/** The code of the error that Redis answered with, like `OOM`. Undefined when it did not answer: a lost link, a deadline. */
export function replyCode(error: unknown): string | undefined {
  const cause = error instanceof PubSubError ? error.cause : error
  return cause instanceof Error ? /^([A-Z]{2,}) /.exec(cause.message)?.[1] : undefined
}
