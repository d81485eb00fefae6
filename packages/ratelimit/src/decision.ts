import type { CheckedPolicy } from './policy.ts'
import type { StoreKey } from './rate-limit-store.ts'
import { usedOf, waitOf } from './sliding-window.ts'

/** Who answered: a store, the local limiter in its place, the cache of refusals, or the `onStoreError` option. */
export type DecisionSource = 'memory' | 'redis' | 'local' | 'cache' | 'unavailable'

/** Where one key stands. */
export interface KeyDecision {
  readonly policy: string
  readonly key: string
  /** Whether this key had room; another one may have refused the call. */
  readonly allowed: boolean
  /** The limit in force: the policy's, or this process's share of it when the source is `local`. */
  readonly limit: number
  /** How much is left after this call. */
  readonly remaining: number
  /** 0 when allowed; else the least wait in ms that is enough if nothing else comes; -1: the cost exceeds the limit. */
  readonly retryAfterMs: number
  /** Until the whole limit is free again, in ms, if nothing else comes. */
  readonly resetMs: number
  /** Until at least one more is free than now, in ms; 0 when the whole limit is. */
  readonly moreAfterMs: number
}

/** The answer to one call. */
export interface Decision {
  readonly allowed: boolean
  readonly source: DecisionSource
  /** The longest wait of the refused keys, in ms; 0 when allowed; -1: waiting can't help. */
  readonly retryAfterMs: number
  /** In the order of the requests; a refusal from the cache holds the refused keys only. */
  readonly results: readonly KeyDecision[]
}

/** What is asked of one key. */
export interface LimitRequest {
  readonly policy: string
  /** Who is limited, such as `userKey(id)` or `addressKey(address)`. Any text that is not empty. */
  readonly key: string
  /** Default: the policy's. 0 looks without counting. */
  readonly cost?: number
}

/** Puts a store's answer for one key into the caller's terms. */
export function decisionOf(request: LimitRequest, policy: CheckedPolicy, answer: JudgedKey): KeyDecision {
  const { state, nowMs, fits, cost } = answer
  const { limit, widthMs } = policy
  const remaining = Math.max(0, Math.floor((limit * widthMs - usedOf(state, policy, nowMs)) / widthMs))
  const wait = (of: number): number => waitOf(state, { policy, cost: of }, nowMs)
  return {
    policy: policy.name,
    key: request.key,
    allowed: fits,
    limit,
    remaining: state.blockedUntilMs > nowMs ? 0 : remaining,
    retryAfterMs: fits ? 0 : wait(cost),
    resetMs: wait(limit),
    moreAfterMs: remaining >= limit ? 0 : wait(remaining + 1),
  }
}

export interface JudgedKey extends StoreKey {
  readonly cost: number
}

/** The longest wait of the refused keys. */
export function longestWait(results: readonly KeyDecision[]): number {
  let longest = 0
  for (const { allowed, retryAfterMs } of results) {
    if (allowed) continue
    if (retryAfterMs < 0) return -1
    longest = Math.max(longest, retryAfterMs)
  }
  return longest
}
