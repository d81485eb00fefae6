import { createHash } from 'node:crypto'
import { checkNumbers, maxTimerMs } from '../check-numbers.ts'
import { ConnectionsError } from '../connections-error.ts'

/** The part of an ioredis `Redis` (also of a Sentinel) or `Cluster` that is used. Turn its offline queue off. */
export interface ConnectionsRedis {
  call(command: string, ...args: (string | number)[]): Promise<unknown>
}

/** A Lua script and its name on the server. */
export interface Script {
  readonly lua: string
  readonly sha1: string
}

/** Names a script. */
export function script(lua: string): Script {
  return { lua, sha1: createHash('sha1').update(lua).digest('hex') }
}

export interface ScriptCall {
  readonly script: Script
  /** All of one hash tag. */
  readonly keys: readonly string[]
  readonly args: readonly (string | number)[]
}

export interface ScriptRunnerOptions {
  readonly redis: ConnectionsRedis
  /** From the call to the answer, in ms. */
  readonly timeoutMs: number
  /** Calls without an answer. */
  readonly maxPending: number
}

/** Sends scripts with a deadline and a bound; every failure of the backend is a `ConnectionsError` `unavailable`. Throws `invalid` for bounds that cannot work. */
export class ScriptRunner {
  readonly #options: ScriptRunnerOptions
  #pending = 0

  constructor(options: ScriptRunnerOptions) {
    const { timeoutMs, maxPending } = options
    checkNumbers({ timeoutMs }, { most: maxTimerMs })
    checkNumbers({ maxPending })
    this.#options = options
  }

  /** The reply as a list; a single value is a list of one. */
  async run(call: ScriptCall): Promise<readonly unknown[]> {
    const { timeoutMs, maxPending } = this.#options
    if (this.#pending >= maxPending)
      throw new ConnectionsError('unavailable', 'Too many commands wait for Redis')
    this.#pending++
    const answer = this.#send(call).finally(() => this.#pending--)
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`No answer within ${timeoutMs} ms`)), timeoutMs)
    })
    try {
      const reply = await Promise.race([answer, late])
      return Array.isArray(reply) ? reply : [reply]
    } catch (cause) {
      throw new ConnectionsError('unavailable', 'Redis cannot take the command now', { cause })
    } finally {
      clearTimeout(timer)
    }
  }

  async #send({ script: { lua, sha1 }, keys, args }: ScriptCall): Promise<unknown> {
    const rest = [keys.length, ...keys, ...args]
    try {
      return await this.#options.redis.call('EVALSHA', sha1, ...rest)
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
      return this.#options.redis.call('EVAL', lua, ...rest)
    }
  }
}
