import type { StoreKey, StoreRequest } from './rate-limit-store.ts'

/** The script's answer for the keys of one group. */
export interface JudgeReply {
  readonly allowed: boolean
  readonly keys: readonly StoreKey[]
}

/** Reads what `consumeScript` returns; throws when it is anything else. */
export function parseJudgeReply(reply: unknown, requests: readonly StoreRequest[]): JudgeReply {
  if (!Array.isArray(reply) || reply.length !== requests.length + 2) throw new Error('unexpected reply')
  const [allowed, now, ...states]: unknown[] = reply
  const nowMs = numberOf(now)
  const keys = states.map((values, at): StoreKey => {
    const length = 5 + (requests[at]?.policy.buckets ?? 0)
    if (!Array.isArray(values) || values.length !== length) throw new Error('unexpected state in the reply')
    const [fits = 0, index = 0, blockedUntilMs = 0, violations = 0, ...counts] = values.map(numberOf)
    return { fits: fits === 1, nowMs, state: { index, blockedUntilMs, violations, counts } }
  })
  return { allowed: allowed === 1, keys }
}

function numberOf(value: unknown): number {
  if (typeof value !== 'number') throw new Error('unexpected type in the reply')
  return value
}
