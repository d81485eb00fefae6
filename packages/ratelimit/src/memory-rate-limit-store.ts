import type { CheckedPolicy } from './policy.ts'
import { RateLimitError } from './rate-limit-error.ts'
import {
  type RateLimitStore,
  type StoreAnswer,
  storeKeyOf,
  type StoreKey,
  type StoreMode,
  type StoreRequest,
} from './rate-limit-store.ts'
import { RecencyMap } from './recency-map.ts'
import {
  addHit,
  addViolations,
  emptyWindow,
  expiryOf,
  fits,
  rollWindow,
  usedOf,
  type WindowState,
} from './sliding-window.ts'

export interface MemoryRateLimitStoreOptions {
  /** Keys held at most; above it the one unused for longest is forgotten. Default 100 000, some 30 MB. */
  readonly maxKeys?: number
  /** Time in ms. Default: a clock that never goes back. */
  readonly now?: () => number
}

interface Entry {
  state: WindowState
  policy: CheckedPolicy
}

const { timeOrigin } = performance

/** Milliseconds since 1970 by a clock that is not set back: a wall clock may be. */
export function steadyNow(): number {
  return Math.floor(timeOrigin + performance.now())
}

/** Counters of one process: bounded, O(1) for each key, without timers. Expired keys leave as new ones come. */
export class MemoryRateLimitStore implements RateLimitStore {
  readonly kind = 'memory'
  readonly #maxKeys: number
  readonly #now: () => number
  readonly #entries = new RecencyMap<Entry>()

  constructor(options: MemoryRateLimitStoreOptions = {}) {
    const { maxKeys = 100_000, now = steadyNow } = options
    if (!Number.isInteger(maxKeys) || maxKeys < 1) {
      throw new RateLimitError('INVALID_OPTIONS', 'maxKeys must be a whole number of at least 1')
    }
    this.#maxKeys = maxKeys
    this.#now = now
  }

  /** Keys held now. */
  get size(): number {
    return this.#entries.size
  }

  judge(requests: readonly StoreRequest[], mode: StoreMode): StoreAnswer {
    const nowMs = Math.floor(this.#now())
    const judged = requests.map((request) => {
      const key = storeKeyOf(request)
      const state = this.#load(key, request, nowMs)
      return { request, key, state, fits: fits(state, request, nowMs) }
    })
    const allowed = judged.every((one) => one.fits)
    const keys = judged.map(({ request, key, state, fits: hasRoom }): StoreKey => {
      const { policy, cost } = request
      const counts = mode === 'increment' || (mode === 'consume' && allowed)
      if (counts && cost > 0) addHit(state, policy, cost)
      if (mode !== 'check')
        addViolations(state, policy, { denied: !hasRoom, reported: request.refusals, nowMs })
      if (mode !== 'check' && keeps(state, policy, nowMs)) this.#keep(key, { state, policy }, nowMs)
      return { fits: hasRoom, state: { ...state, counts: [...state.counts] }, nowMs }
    })
    return { allowed, keys }
  }

  /** Whether the key has counters that still say something. */
  knows(request: Pick<StoreRequest, 'policy' | 'subject'>): boolean {
    const entry = this.#entries.get(storeKeyOf(request))
    return entry !== undefined && expiryOf(entry.state, entry.policy) > this.#now()
  }

  /** Takes back what a call counted that got this answer, from the bucket it was counted in; never below 0. */
  refund(requests: readonly StoreRequest[], answer: StoreAnswer): void {
    for (const [at, request] of requests.entries()) {
      const state = this.#entries.get(storeKeyOf(request))?.state
      const back = (state?.index ?? 0) - (answer.keys[at]?.state.index ?? 0)
      const count = state?.counts[back]
      if (state !== undefined && count !== undefined) state.counts[back] = Math.max(0, count - request.cost)
    }
  }

  reset(requests: readonly Pick<StoreRequest, 'policy' | 'subject'>[]): void {
    for (const request of requests) this.#entries.delete(storeKeyOf(request))
  }

  close(): void {
    this.#entries.clear()
  }

  #load(key: string, { policy }: StoreRequest, nowMs: number): WindowState {
    const entry = this.#entries.get(key)
    if (entry === undefined) return emptyWindow(policy, nowMs)
    rollWindow(entry.state, policy, nowMs)
    return entry.state
  }

  #keep(key: string, { state, policy }: Entry, nowMs: number): void {
    const entry = this.#entries.use(key)
    if (entry !== undefined) {
      entry.state = state
      entry.policy = policy
      return
    }
    this.#makeRoom(nowMs)
    // Copied: a text put together holds on to its parts, which took two fifths of all memory here.
    this.#entries.set(Buffer.from(key).toString(), { state, policy })
  }

  /** Looks at the two keys unused for longest: more expired keys leave than new ones come, at a constant cost. */
  #makeRoom(nowMs: number): void {
    for (let looked = 0; looked < 2; looked += 1) {
      const { oldest, size } = this.#entries
      if (oldest === undefined) return
      const { state, policy } = oldest.value
      if (size < this.#maxKeys && expiryOf(state, policy) > nowMs) return
      this.#entries.delete(oldest.key)
    }
  }
}

function keeps(state: WindowState, policy: CheckedPolicy, nowMs: number): boolean {
  return state.violations > 0 || state.blockedUntilMs > nowMs || usedOf(state, policy, nowMs) > 0
}
