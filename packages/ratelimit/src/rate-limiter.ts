/**
 * A call on its way to an answer:
 *
 *     refused lately? ──yes──▶ cache
 *        │ no
 *     new, and too many new ones? ──yes──▶ local, for this key ──┐
 *        │ no                                                   ├─▶ one decision, all or nothing
 *     store ──fails──▶ onStoreError: local | allow | deny ──────┘
 */
import { type AskedKey, toDecision } from './asked-key.ts'
import { type Decision, type KeyDecision, type LimitRequest, longestWait } from './decision.ts'
import { DenyCache } from './deny-cache.ts'
import { LocalLimiter } from './local-limiter.ts'
import { steadyNow } from './memory-rate-limit-store.ts'
import { NewKeyCap } from './new-key-cap.ts'
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
  /** A key was limited in this process, because too many new ones came up (`newKeysPerSecond`). */
  | { readonly type: 'new-key-capped'; readonly policy: string }

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

class StoreRateLimiter implements RateLimiter {
  readonly policies: ReadonlyMap<string, CheckedPolicy>
  readonly #options: RateLimiterOptions
  readonly #now: () => number
  /** Tells one millisecond from another, for a third of what a clock costs that never goes back. */
  readonly #tick: () => number
  /** In place of a store that failed. */
  readonly #local: LocalLimiter
  /** In place of a store that shall not hear of more new keys. */
  readonly #capped: LocalLimiter
  /** By policy, for those that have one. */
  readonly #caps = new Map<string, NewKeyCap>()
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
    this.#tick = options.now ?? Date.now
    const liveInstances = options.liveInstances ?? (() => 1)
    this.#local = new LocalLimiter({ liveInstances, now })
    this.#capped = new LocalLimiter({ liveInstances, now })
    // A store in memory is bounded itself, and as near as the cache.
    if (store.kind === 'memory') return
    for (const [name, { newKeysPerSecond: perSecond, windowMs }] of this.policies) {
      if (perSecond !== undefined) this.#caps.set(name, new NewKeyCap({ perSecond, keepMs: 2 * windowMs }))
    }
    if (denyCacheKeys === 0) return
    const maxKeys = Math.ceil(denyCacheKeys / this.policies.size)
    for (const [name, policy] of this.policies) {
      this.#caches.set(name, new DenyCache({ policy, maxKeys, maxAgeMs: denyCacheMs }))
    }
  }

  consume(requests: readonly LimitRequest[]): Promise<Decision> {
    try {
      const known = this.#again(requests)
      if (known !== undefined) return known
      const cached = this.#fromCache(requests)
      return Promise.resolve(cached ?? this.#decide(requests, 'consume'))
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
    this.#capped.reset(asked)
    await this.#options.store.reset(asked)
    // A call in flight may have noted a refusal from before the reset.
    this.#forget(requests)
  }

  close(): void {
    this.#closed = true
    this.#local.close()
    this.#capped.close()
    for (const cache of this.#caches.values()) cache.clear()
  }

  /** Here and below: no promise where the store answers at once, for each costs every call. */
  #decide(requests: readonly LimitRequest[], mode: StoreMode): Decision | Promise<Decision> {
    const startedAt = this.#options.onEvent === undefined ? 0 : performance.now()
    const asked = this.#parse(requests)
    const decision = this.#judge(asked, mode)
    if (!(decision instanceof Promise)) return this.#reported(decision, { mode, startedAt })
    return decision.then((late) => this.#reported(late, { mode, startedAt }))
  }

  #reported(decision: Decision, { mode, startedAt }: { mode: StoreMode; startedAt: number }): Decision {
    this.#options.onEvent?.({ type: 'decision', mode, decision, latencyMs: performance.now() - startedAt })
    return decision
  }

  #parse(requests: readonly LimitRequest[]): readonly AskedKey[] {
    if (this.#closed) throw new RateLimitError('CLOSED', 'The rate limiter is closed')
    if (requests.length === 0 || requests.length > maxRequests) {
      throw new RateLimitError('INVALID_REQUEST', `A call needs 1 to ${maxRequests} keys`)
    }
    const asked = requests.map((request): AskedKey => {
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
    const answer = cache.again(cacheKeyOf(request.key), request.cost, this.#tick())
    if (answer === undefined || onEvent === undefined) return answer?.promise
    const latencyMs = performance.now() - startedAt
    onEvent({ type: 'decision', mode: 'consume', decision: answer.decision, latencyMs })
    return answer.promise
  }

  /** Refuses for keys whose refusal still holds: nothing is parsed but what finds it, and nothing is awaited. */
  #fromCache(requests: readonly LimitRequest[]): Decision | undefined {
    if (this.#caches.size === 0) return undefined
    const startedAt = this.#options.onEvent === undefined ? 0 : performance.now()
    // Read first: an answer is handed out again only until its millisecond ends, never a whole one after it was true.
    const tick = this.#tick()
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
    for (const { policy, key } of results) this.#caches.get(policy)?.countRefusals(cacheKeyOf(key), 1)
    const decision: Decision = {
      allowed: false,
      source: 'cache',
      retryAfterMs: longestWait(results),
      results,
    }
    const [only] = results
    if (only !== undefined && requests.length === 1) {
      this.#caches.get(only.policy)?.keepAnswer(cacheKeyOf(only.key), decision, tick)
    }
    const { onEvent } = this.#options
    onEvent?.({ type: 'decision', mode: 'consume', decision, latencyMs: performance.now() - startedAt })
    return decision
  }

  #forget(requests: readonly Pick<LimitRequest, 'policy' | 'key'>[]): void {
    for (const { policy, key } of requests) this.#caches.get(policy)?.forget(cacheKeyOf(key))
  }

  #judge(asked: readonly AskedKey[], mode: StoreMode): Decision | Promise<Decision> {
    const capped = this.#caps.size === 0 ? [] : asked.filter((one) => this.#isCapped(one, mode))
    return capped.length === 0 ? this.#askStore(asked, mode) : this.#judgeCapped(asked, capped, mode)
  }

  async #judgeCapped(
    asked: readonly AskedKey[],
    capped: readonly AskedKey[],
    mode: StoreMode,
  ): Promise<Decision> {
    const judged = this.#capped.judge(capped, mode)
    const others = asked.filter((one) => !capped.includes(one))
    if (others.length === 0) return judged.decision
    if (!judged.decision.allowed && mode === 'consume') return onlyRefused(judged.decision)
    const there = await this.#askStore(others, mode)
    let here = judged.decision
    if (!there.allowed && mode === 'consume') {
      judged.undo()
      here = this.#capped.judge(capped, 'check').decision
    }
    const results = asked.flatMap((one): readonly KeyDecision[] => {
      const at = capped.indexOf(one)
      const result = at < 0 ? there.results[others.indexOf(one)] : here.results[at]
      return result === undefined ? [] : [result]
    })
    const allowed = here.allowed && there.allowed
    return { allowed, source: there.source, retryAfterMs: longestWait(results), results }
  }

  /** Once limited here a key stays here while its counters live: it would get its limit twice. */
  #isCapped(asked: AskedKey, mode: StoreMode): boolean {
    const { policy, subject } = asked.store
    const cap = this.#caps.get(policy.name)
    if (cap === undefined) return false
    // To look makes no key in the store.
    const capped = this.#capped.knows(asked) || (mode !== 'check' && !cap.admits(subject, this.#now()))
    if (capped) this.#options.onEvent?.({ type: 'new-key-capped', policy: policy.name })
    return capped
  }

  #askStore(asked: readonly AskedKey[], mode: StoreMode): Decision | Promise<Decision> {
    const { store } = this.#options
    const requests = asked.map(({ store: request, request: { key } }) => {
      const { name, block } = request.policy
      // A look is not counted, and calls at once must not tell the same refusals twice.
      if (block === undefined || mode === 'check') return request
      const refusals = this.#caches.get(name)?.takeUnreported(cacheKeyOf(key)) ?? 0
      return refusals === 0 ? request : { ...request, refusals }
    })
    const taken = (answer: StoreAnswer): Decision => this.#take(asked, { requests, answer, mode })
    const failed = (error: unknown): Decision => {
      for (const [at, { policy, refusals }] of requests.entries()) {
        const key = asked[at]?.request.key
        if (refusals > 0 && key !== undefined)
          this.#caches.get(policy.name)?.countRefusals(cacheKeyOf(key), refusals)
      }
      return this.#withoutStore(asked, { mode, error })
    }
    let answer: StoreAnswer | Promise<StoreAnswer>
    try {
      answer = store.judge(requests, mode)
    } catch (error) {
      return failed(error)
    }
    return answer instanceof Promise ? answer.then(taken, failed) : taken(answer)
  }

  #take(asked: readonly AskedKey[], { requests, answer, mode }: Answered): Decision {
    if (!this.#available) this.#setAvailable(true)
    const decision = toDecision(asked, { requests, answer, source: this.#options.store.kind })
    if (this.#caches.size > 0 && mode === 'consume') this.#note(asked, decision)
    return decision
  }

  #note(asked: readonly AskedKey[], decision: Decision): void {
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

  #withoutStore(asked: readonly AskedKey[], failed: { mode: StoreMode; error: unknown }): Decision {
    const { onStoreError: action, onEvent } = this.#options
    onEvent?.({ type: 'store-error', error: failed.error, action })
    if (this.#available) this.#setAvailable(false)
    if (action === 'local') return this.#local.judge(asked, failed.mode).decision
    const allowed = action === 'allow'
    const retryAfterMs = allowed ? 0 : unavailableRetryMs
    const waits = { retryAfterMs, resetMs: retryAfterMs, moreAfterMs: retryAfterMs }
    const results = asked.map(({ request, store: { policy } }): KeyDecision => {
      const { name, limit } = policy
      return { policy: name, key: request.key, allowed, limit, remaining: allowed ? limit : 0, ...waits }
    })
    return { allowed, source: 'unavailable', retryAfterMs, results }
  }

  #setAvailable(available: boolean): void {
    this.#available = available
    this.#options.onEvent?.({ type: 'store-state', available })
  }
}

/** What a store said, and to what. */
interface Answered {
  readonly requests: readonly StoreRequest[]
  readonly answer: StoreAnswer
  readonly mode: StoreMode
}

/** Whether two of them mean the same counters. */
function hasTwins(asked: readonly AskedKey[]): boolean {
  for (const [at, { store }] of asked.entries()) {
    for (let before = 0; before < at; before += 1) {
      const other = asked[before]?.store
      if (other?.subject === store.subject && other.policy === store.policy) return true
    }
  }
  return false
}

/** As from the cache: the store was not asked, so nothing is known of the other keys. */
function onlyRefused(decision: Decision): Decision {
  return { ...decision, results: decision.results.filter(({ allowed }) => !allowed) }
}
