import type { StoreKey, StoreRequest } from './rate-limit-store.ts'

/** The script's answer for the keys of one group. */
export interface JudgeReply {
  readonly allowed: boolean
  readonly keys: readonly StoreKey[]
}

/** Reads what `consumeSource`'s script returns; throws when it is anything else. */
export function parseJudgeReply(reply: unknown, requests: readonly StoreRequest[]): JudgeReply {
  if (!Array.isArray(reply)) throw new Error('unexpected reply')
  const values: readonly unknown[] = reply
  const nowMs = numberAt(values, 0)
  const keys: StoreKey[] = []
  let allowed = true
  let at = 1
  for (const { policy } of requests) {
    const fits = numberAt(values, at) === 1
    const index = numberAt(values, at + 1)
    at += 2
    let blockedUntilMs = 0
    let violations = 0
    if (policy.block !== undefined) {
      blockedUntilMs = numberAt(values, at)
      violations = numberAt(values, at + 1)
      at += 2
    }
    const counts: number[] = []
    for (const end = at + policy.buckets; at <= end; at += 1) counts.push(numberAt(values, at))
    keys.push({ fits, nowMs, state: { index, blockedUntilMs, violations, counts } })
    if (!fits) allowed = false
  }
  if (at !== values.length) throw new Error('unexpected length of the reply')
  return { allowed, keys }
}

function numberAt(values: readonly unknown[], at: number): number {
  const value = values[at]
  if (typeof value !== 'number') throw new Error('unexpected type in the reply')
  return value
}
