import {
  type Decision,
  decisionOf,
  type DecisionSource,
  type KeyDecision,
  type LimitRequest,
  longestWait,
} from './decision.ts'
import { DenyCache } from './deny-cache.ts'
import { MemoryRateLimitStore, steadyNow } from './memory-rate-limit-store.ts'
import { type CheckedPolicy, isWhole, parsePolicies, type Policy } from './policy.ts'
import { RateLimitError } from './rate-limit-error.ts'
import {
  type RateLimitStore,
  type StoreAnswer,
  type StoreMode,
  type StoreRequest,
} from './rate-limit-store.ts'
import { cacheKeyOf, subjectOf } from './subject.ts'

/** What the limiter tells its owner, who may log and count it. */
export type RateLimitEvent =
  /** A call was answered. `latencyMs` is what the caller waited. */
  | {
      readonly type: 'decision'
      readonly mode: StoreMode
      readonly decision: Decision
      readonly latencyMs: number
    }
  /** The store failed one call, and `onStoreError` answered. */
  | { readonly type: 'store-error'; readonly error: unknown; readonly action: StoreErrorAction }
  /** The first failure after an answer, and the first answer after a failure. */
  | { readonly type: 'store-state'; readonly available: boolean }

/**
 * When the store fails: `allow` everything, `deny` everything (source `unavailable`, retry after 1 s), or limit in this
 * process (`local`), each of n live instances with an n-th of the limit.
 */
export type StoreErrorAction = 'allow' | 'deny' | 'local'

export interface RateLimiterOptions {
  /** Stays the caller's to close. */
  readonly store: RateLimitStore
  readonly policies: readonly Policy[]
  readonly onStoreError: StoreErrorAction
  /** Instances that share the limits now, for `local`. Default 1. */
  readonly liveInstances?: () => number
  /** Time in ms for the local limiter and the cache. Default: a clock that never goes back. */
  readonly now?: () => number
  /** Refused keys remembered in the process: 50 000 keys by default; 0 switches it off. */
  readonly denyCacheKeys?: number
  /** How long a refusal is answered without asking the store, in ms. Default and at most 5000. */
  readonly denyCacheMs?: number
  readonly onEvent?: (event: RateLimitEvent) => void
}

/** Judges calls by named policies. Expected outcomes are return values; it throws for broken calls only. */
export interface RateLimiter {
  /** The checked policies by name. */
  readonly policies: ReadonlyMap<string, CheckedPolicy>
  /** Counts on every key, or, when one has no room, on none. One round trip. */
  consume(requests: readonly LimitRequest[]): Promise<Decision>
  /** Counts on every key whether it has room or not: for what has already happened, such as a failed login. */
  increment(requests: readonly LimitRequest[]): Promise<Decision>
  /** What `consume` would answer; counts nothing. */
  check(requests: readonly LimitRequest[]): Promise<Decision>
  /** Forgets the keys: counters, block and cached refusals. Other processes notice within `denyCacheMs`. */
  reset(requests: readonly Pick<LimitRequest, 'policy' | 'key'>[]): Promise<void>
  /** Refuses further calls with CLOSED and frees memory; the store stays open. */
  close(): void
}

/** Keys of one call at most. */
const maxRequests = 16
/** What a caller is told to wait when nobody can judge. */
const unavailableRetryMs = 1000

/** Creates a limiter; throws INVALID_OPTIONS. */
export function createRateLimiter(options: RateLimiterOptions): RateLimiter {
  return new StoreRateLimiter(options)
}

interface Asked {
  readonly request: LimitRequest
  readonly store: StoreRequest
}

class StoreRateLimiter implements RateLimiter {
  readonly policies: ReadonlyMap<string, CheckedPolicy>
  readonly #options: RateLimiterOptions
  readonly #now: () => number
  readonly #local: MemoryRateLimitStore
  /** By policy. Empty when nothing is cached. */
  readonly #caches = new Map<string, DenyCache>()
  #available = true
  #closed = false

  constructor(options: RateLimiterOptions) {
    const { now = steadyNow, denyCacheKeys = 50_000, denyCacheMs = 5000, store } = options
    if (!isWhole(denyCacheKeys, 0, 10_000_000) || !isWhole(denyCacheMs, 1, 5000)) {
      throw new RateLimitError('INVALID_OPTIONS', 'denyCacheKeys must be 0 to 1e7 and denyCacheMs 1 to 5000')
    }
    this.#options = options
    this.policies = parsePolicies(options.policies)
    this.#now = now
    this.#local = new MemoryRateLimitStore({ now })
    if (denyCacheKeys === 0 || store.kind === 'memory') return
    const maxKeys = Math.ceil(denyCacheKeys / this.policies.size)
    for (const [name, policy] of this.policies) {
      this.#caches.set(name, new DenyCache({ policy, maxKeys, maxAgeMs: denyCacheMs }))
    }
  }

  consume(requests: readonly LimitRequest[]): Promise<Decision> {
    try {
      return this.#again(requests) ?? this.#consume(requests)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async increment(requests: readonly LimitRequest[]): Promise<Decision> {
    return this.#decide(requests, 'increment')
  }

  async check(requests: readonly LimitRequest[]): Promise<Decision> {
    return this.#decide(requests, 'check')
  }

  async reset(requests: readonly Pick<LimitRequest, 'policy' | 'key'>[]): Promise<void> {
    const asked = this.#parse(requests).map(({ store }) => store)
    this.#forget(requests)
    this.#local.reset(asked)
    await this.#options.store.reset(asked)
    // A call in flight may have noted a refusal from before the reset.
    this.#forget(requests)
  }

  close(): void {
    this.#closed = true
    this.#local.close()
    for (const cache of this.#caches.values()) cache.clear()
  }

  async #consume(requests: readonly LimitRequest[]): Promise<Decision> {
    const cached = this.#fromCache(requests)
    return cached ?? this.#decide(requests, 'consume')
  }

  async #decide(requests: readonly LimitRequest[], mode: StoreMode): Promise<Decision> {
    const startedAt = this.#options.onEvent === undefined ? 0 : performance.now()
    const asked = this.#parse(requests)
    const decision = await this.#judge(asked, mode)
    this.#options.onEvent?.({ type: 'decision', mode, decision, latencyMs: performance.now() - startedAt })
    return decision
  }

  #parse(requests: readonly LimitRequest[]): readonly Asked[] {
    if (this.#closed) throw new RateLimitError('CLOSED', 'The rate limiter is closed')
    if (requests.length === 0 || requests.length > maxRequests) {
      throw new RateLimitError('INVALID_REQUEST', `A call needs 1 to ${maxRequests} keys`)
    }
    const asked = requests.map((request): Asked => {
      const policy = this.policies.get(request.policy)
      if (policy === undefined) throw new RateLimitError('INVALID_REQUEST', 'Unknown rate limit policy')
      const { cost = policy.cost } = request
      if (!isWhole(cost, 0, 1_000_000_000))
        throw new RateLimitError('INVALID_REQUEST', 'Broken rate limit cost')
      if (request.key === '') throw new RateLimitError('INVALID_REQUEST', 'Empty rate limit key')
      const store = { policy, subject: subjectOf(request.key), cost, refusals: 0 }
      return { request, store }
    })
    if (hasTwins(asked)) {
      throw new RateLimitError('INVALID_REQUEST', 'A call names a policy and key twice')
    }
    return asked
  }

  /** The way of a flood: one key, refused a moment ago. Nothing is made anew but the event. */
  #again(requests: readonly LimitRequest[]): Promise<Decision> | undefined {
    const request = requests.length === 1 ? requests[0] : undefined
    if (request === undefined) return undefined
    const cache = this.#caches.get(request.policy)
    if (cache === undefined || cache.size === 0) return undefined
    const { onEvent } = this.#options
    const startedAt = onEvent === undefined ? 0 : performance.now()
    const answer = cache.again(cacheKeyOf(request.key), request.cost, this.#now())
    if (answer === undefined || onEvent === undefined) return answer?.promise
    const latencyMs = performance.now() - startedAt
    onEvent({ type: 'decision', mode: 'consume', decision: answer.decision, latencyMs })
    return answer.promise
  }

  /** Refuses for keys whose refusal still holds: nothing is parsed but what finds it, and nothing is awaited. */
  #fromCache(requests: readonly LimitRequest[]): Decision | undefined {
    if (this.#caches.size === 0) return undefined
    const startedAt = this.#options.onEvent === undefined ? 0 : performance.now()
    let nowMs = Number.NaN
    const results: KeyDecision[] = []
    for (const { policy: name, key, cost } of requests) {
      const cache = this.#caches.get(name)
      if (cache === undefined || cache.size === 0) continue
      if (Number.isNaN(nowMs)) nowMs = this.#now()
      const cacheKey = cacheKeyOf(key)
      const refusal = cache.find(cacheKey, cost, nowMs)
      if (refusal === undefined) continue
      if (cache.blocksNext(cacheKey)) return undefined
      results.push(refusal)
    }
    if (results.length === 0) return undefined
    for (const { policy, key } of results) this.#caches.get(policy)?.countRefusal(cacheKeyOf(key))
    const decision: Decision = {
      allowed: false,
      source: 'cache',
      retryAfterMs: longestWait(results),
      results,
    }
    const [only] = results
    if (only !== undefined && requests.length === 1) {
      this.#caches.get(only.policy)?.keepAnswer(cacheKeyOf(only.key), decision, nowMs)
    }
    const { onEvent } = this.#options
    onEvent?.({ type: 'decision', mode: 'consume', decision, latencyMs: performance.now() - startedAt })
    return decision
  }

  #forget(requests: readonly Pick<LimitRequest, 'policy' | 'key'>[]): void {
    for (const { policy, key } of requests) this.#caches.get(policy)?.forget(cacheKeyOf(key))
  }

  async #judge(asked: readonly Asked[], mode: StoreMode): Promise<Decision> {
    const { store } = this.#options
    const requests = asked.map(({ store: request, request: { key } }) => {
      const { name, block } = request.policy
      const refusals = block === undefined ? 0 : (this.#caches.get(name)?.unreportedOf(cacheKeyOf(key)) ?? 0)
      return refusals === 0 ? request : { ...request, refusals }
    })
    let answer: StoreAnswer
    try {
      answer = await store.judge(requests, mode)
    } catch (error) {
      return this.#withoutStore(asked, { mode, error })
    }
    if (!this.#available) this.#setAvailable(true)
    const decision = toDecision(asked, requests, { answer, source: store.kind })
    if (this.#caches.size > 0 && mode === 'consume') this.#note(asked, decision)
    return decision
  }

  #note(asked: readonly Asked[], decision: Decision): void {
    const nowMs = decision.allowed ? 0 : this.#now()
    for (const [at, { request, store }] of asked.entries()) {
      const cache = this.#caches.get(store.policy.name)
      const result = decision.results[at]
      if (cache === undefined || result === undefined) continue
      const cacheKey = cacheKeyOf(request.key)
      if (result.allowed || result.retryAfterMs < 0) cache.forget(cacheKey)
      else cache.note(cacheKey, { decision: result, cost: store.cost }, nowMs)
    }
  }

  #withoutStore(asked: readonly Asked[], failed: { mode: StoreMode; error: unknown }): Decision {
    const { onStoreError: action, onEvent } = this.#options
    onEvent?.({ type: 'store-error', error: failed.error, action })
    if (this.#available) this.#setAvailable(false)
    if (action === 'local') return this.#judgeLocally(asked, failed.mode)
    const allowed = action === 'allow'
    const retryAfterMs = allowed ? 0 : unavailableRetryMs
    const waits = { retryAfterMs, resetMs: retryAfterMs, moreAfterMs: retryAfterMs }
    const results = asked.map(({ request, store: { policy } }): KeyDecision => {
      const { name, limit } = policy
      return { policy: name, key: request.key, allowed, limit, remaining: allowed ? limit : 0, ...waits }
    })
    return { allowed, source: 'unavailable', retryAfterMs, results }
  }

  #judgeLocally(asked: readonly Asked[], mode: StoreMode): Decision {
    const instances = Math.max(1, Math.floor(this.#options.liveInstances?.() ?? 1) || 1)
    const requests = asked.map(({ store }): StoreRequest => {
      const limit = Math.max(1, Math.floor(store.policy.limit / instances))
      // What the whole limit admits must not become impossible in a share of it.
      const cost = store.cost <= store.policy.limit ? Math.min(store.cost, limit) : store.cost
      return { ...store, cost, policy: { ...store.policy, limit } }
    })
    return toDecision(asked, requests, { answer: this.#local.judge(requests, mode), source: 'local' })
  }

  #setAvailable(available: boolean): void {
    this.#available = available
    this.#options.onEvent?.({ type: 'store-state', available })
  }
}

/** Whether two of them mean the same counters. */
function hasTwins(asked: readonly Asked[]): boolean {
  for (const [at, { store }] of asked.entries()) {
    for (let before = 0; before < at; before += 1) {
      const other = asked[before]?.store
      if (other?.subject === store.subject && other.policy === store.policy) return true
    }
  }
  return false
}

function toDecision(
  asked: readonly Asked[],
  requests: readonly StoreRequest[],
  judged: { readonly answer: StoreAnswer; readonly source: DecisionSource },
): Decision {
  const { answer, source } = judged
  const results = answer.keys.map((key, at): KeyDecision => {
    const request = requests[at]
    const original = asked[at]
    if (request === undefined || original === undefined) {
      throw new RateLimitError('STORE_UNAVAILABLE', 'The store answered for another number of keys')
    }
    return decisionOf(original.request, request.policy, { ...key, cost: request.cost })
  })
  return { allowed: answer.allowed, source, retryAfterMs: longestWait(results), results }
}
