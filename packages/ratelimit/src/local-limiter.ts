import { type AskedKey, toDecision } from './asked-key.ts'
import type { Decision } from './decision.ts'
import { MemoryRateLimitStore } from './memory-rate-limit-store.ts'
import type { StoreMode, StoreRequest } from './rate-limit-store.ts'

export interface LocalLimiterOptions {
  /** Processes that share the limits now. */
  readonly liveInstances: () => number
  readonly now: () => number
}

/** Limits in this process alone, each of n live instances with an n-th of the limit. Bounded: 100 000 keys. */
export class LocalLimiter {
  readonly #options: LocalLimiterOptions
  readonly #store: MemoryRateLimitStore

  constructor(options: LocalLimiterOptions) {
    this.#options = options
    this.#store = new MemoryRateLimitStore({ now: options.now })
  }

  get size(): number {
    return this.#store.size
  }

  /** Whether the key has counters here that still say something. */
  knows({ store }: AskedKey): boolean {
    return this.#store.knows(store)
  }

  /** Decides, and gives the way to take back what was counted. */
  judge(asked: readonly AskedKey[], mode: StoreMode): { decision: Decision; undo: () => void } {
    const instances = Math.max(1, Math.floor(this.#options.liveInstances()) || 1)
    const requests = asked.map(({ store }): StoreRequest => {
      const limit = Math.max(1, Math.floor(store.policy.limit / instances))
      // What the whole limit admits must not become impossible in a share of it.
      const cost = store.cost <= store.policy.limit ? Math.min(store.cost, limit) : store.cost
      return { ...store, cost, policy: { ...store.policy, limit } }
    })
    const answer = this.#store.judge(requests, mode)
    const undo = (): void => this.#store.refund(requests, answer)
    return { decision: toDecision(asked, { requests, answer, source: 'local' }), undo }
  }

  reset(requests: readonly StoreRequest[]): void {
    this.#store.reset(requests)
  }

  close(): void {
    this.#store.close()
  }
}
