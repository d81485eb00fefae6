import { OldestKey } from './oldest-key.ts'
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
  /** Keys held at most; above it the one unused for longest is forgotten. Default 100 000, some 20 MB. */
  readonly maxKeys?: number
  /** Time in ms. Default: a clock that never goes back. */
  readonly now?: () => number
}

interface Entry {
  readonly state: WindowState
  readonly policy: CheckedPolicy
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
  /** In order of last use. */
  readonly #entries = new Map<string, Entry>()
  readonly #oldest = new OldestKey(this.#entries)

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
    const states = requests.map((request) => this.#load(request, nowMs))
    const fit = requests.map((request, at) => fits(stateAt(states, at), request, nowMs))
    const allowed = !fit.includes(false)
    const keys = requests.map((request, at): StoreKey => {
      const { policy, cost, refusals } = request
      const state = stateAt(states, at)
      const counts = mode === 'increment' || (mode === 'consume' && allowed)
      if (counts && cost > 0) addHit(state, policy, cost)
      if (mode !== 'check')
        addViolations(state, policy, { denied: fit[at] === false, reported: refusals, nowMs })
      if (mode !== 'check' && keeps(state, policy, nowMs)) this.#keep(request, state, nowMs)
      return { fits: fit[at] === true, state: { ...state, counts: [...state.counts] }, nowMs }
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
    for (const request of requests) this.#delete(storeKeyOf(request))
  }

  close(): void {
    this.#entries.clear()
    this.#oldest.cleared()
  }

  #load(request: StoreRequest, nowMs: number): WindowState {
    const entry = this.#entries.get(storeKeyOf(request))
    if (entry === undefined) return emptyWindow(request.policy, nowMs)
    rollWindow(entry.state, request.policy, nowMs)
    return entry.state
  }

  #keep(request: StoreRequest, state: WindowState, nowMs: number): void {
    const key = storeKeyOf(request)
    const known = this.#delete(key)
    if (!known) this.#makeRoom(nowMs)
    this.#entries.set(key, { state, policy: request.policy })
  }

  /** Looks at the two keys unused for longest: more expired keys leave than new ones come, at a constant cost. */
  #makeRoom(nowMs: number): void {
    for (let looked = 0; looked < 2; looked += 1) {
      const key = this.#oldest.peek()
      const entry = key === undefined ? undefined : this.#entries.get(key)
      if (key === undefined || entry === undefined) return
      const full = this.#entries.size >= this.#maxKeys
      if (!full && expiryOf(entry.state, entry.policy) > nowMs) return
      this.#delete(key)
    }
  }

  #delete(key: string): boolean {
    this.#oldest.deleted(key)
    return this.#entries.delete(key)
  }
}

function stateAt(states: readonly WindowState[], at: number): WindowState {
  const state = states[at]
  if (state === undefined) throw new RateLimitError('INVALID_REQUEST', 'A request without a state')
  return state
}

function keeps(state: WindowState, policy: CheckedPolicy, nowMs: number): boolean {
  return state.violations > 0 || state.blockedUntilMs > nowMs || usedOf(state, policy, nowMs) > 0
}
