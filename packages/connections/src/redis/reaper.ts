import type { LocatedConnection } from '../connection-store.ts'
import { directoryOf, instanceOf, keysOf } from './instance-keys.ts'
import type { Script, ScriptRunner } from './redis-script.ts'
import { claimScript, doneScript, forgetScript } from './store-scripts.ts'
import { parseAllStored } from './stored-json.ts'

export interface ReaperOptions {
  readonly prefix: string
  readonly runner: ScriptRunner
  /** Time for one portion, in ms; then another instance may take over. */
  readonly claimMs: number
  readonly dataTtlMs: number
  /** Called with each portion; what it rejects leaves the portion for later. */
  readonly onPortion: (connections: readonly LocatedConnection[], instanceId: string) => Promise<void>
  readonly onError: (error: unknown) => void
}

/** Cleans up behind dead instances, of which only one at a time does so. */
export class Reaper {
  readonly #options: ReaperOptions

  constructor(options: ReaperOptions) {
    this.#options = options
  }

  /** Does nothing when the life has its lease or another instance is at it. Rejects with `unavailable`. */
  async reap(life: string, self: string): Promise<void> {
    const { claimMs, dataTtlMs, onPortion, onError } = this.#options
    for (;;) {
      const [status, ...fields] = await this.#run(life, claimScript, [self, claimMs, dataTtlMs])
      if (status === -1) return
      if (status === 0) break
      const ids = fields.filter((_, at) => at % 2 === 0).map(String)
      const connections = parseAllStored(fields.filter((_, at) => at % 2 === 1))
      try {
        await withDeadline(onPortion(connections, instanceOf(life)), claimMs)
      } catch (error) {
        onError(error)
        return
      }
      const [isStillOurs] = await this.#run(life, doneScript, [self, ...ids])
      if (isStillOurs !== 1) return
    }
    const { runner, prefix } = this.#options
    await runner.run({ script: forgetScript, keys: [directoryOf(prefix)], args: [life] })
  }

  #run(life: string, script: Script, args: readonly (string | number)[]): Promise<readonly unknown[]> {
    const { runner, prefix } = this.#options
    return runner.run({ script, keys: keysOf(prefix, life), args })
  }
}

async function withDeadline(work: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`A listener took longer than ${ms} ms`)), ms)
  })
  try {
    await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
