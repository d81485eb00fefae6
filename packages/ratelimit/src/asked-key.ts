import {
  type Decision,
  decisionOf,
  type DecisionSource,
  type KeyDecision,
  type LimitRequest,
  longestWait,
} from './decision.ts'
import { RateLimitError } from './rate-limit-error.ts'
import type { StoreAnswer, StoreRequest } from './rate-limit-store.ts'

/** One key of a call: as the caller named it, and as a store judges it. */
export interface AskedKey {
  readonly request: LimitRequest
  readonly store: StoreRequest
}

/** What was judged, and by whom. */
export interface Judged {
  /** What the store was asked for each key: the limit may be a share. */
  readonly requests: readonly StoreRequest[]
  readonly answer: StoreAnswer
  readonly source: DecisionSource
}

/** Puts a store's answer into the caller's terms. */
export function toDecision(asked: readonly AskedKey[], { requests, answer, source }: Judged): Decision {
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
