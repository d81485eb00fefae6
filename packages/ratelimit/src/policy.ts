import { RateLimitError } from './rate-limit-error.ts'

/** Shuts a key out for a while after repeated refusals: for logins, bad tokens, handshakes. */
export interface BlockPolicy {
  /** Refusals within one window after which the key is blocked, 1 to 1 000 000. */
  readonly afterDenials: number
  /** For how long, in ms. Refusals while blocked do not prolong it. */
  readonly durationMs: number
}

/** One limit as data: at most `limit` in any `windowMs`, exceeded by at most `limit / buckets` in the worst case. */
export interface Policy {
  /** Letters, digits, `_`, `-`, `.`: it is part of the key in the store and of the `RateLimit-Policy` field. */
  readonly name: string
  readonly limit: number
  readonly windowMs: number
  /** Counters the window is cut into, 1 (default) to 60; `windowMs` must divide by it. More is more exact. */
  readonly buckets?: number
  /** What one request costs unless it says otherwise. Default 1. */
  readonly cost?: number
  readonly block?: BlockPolicy
  /**
   * How many keys that this process has not seen for two windows may go to the store in a second; others are limited in
   * this process. For keys that cost an attacker nothing, such as addresses. Default: no bound.
   */
  readonly newKeysPerSecond?: number
}

/** A policy that was checked, with its defaults filled in. */
export interface CheckedPolicy {
  readonly name: string
  readonly limit: number
  readonly windowMs: number
  readonly buckets: number
  readonly cost: number
  readonly block: BlockPolicy | undefined
  readonly newKeysPerSecond: number | undefined
  /** `windowMs / buckets`. */
  readonly widthMs: number
}

const maxBuckets = 60
const namePattern = /^[A-Za-z0-9_.-]{1,64}$/

/** Checks all policies at once; throws INVALID_OPTIONS with one line that names every mistake. */
export function parsePolicies(policies: readonly Policy[]): ReadonlyMap<string, CheckedPolicy> {
  const checked = new Map<string, CheckedPolicy>()
  const mistakes: string[] = []
  for (const policy of policies) {
    if (checked.has(policy.name)) mistakes.push(`policy ${policy.name}: the name is used twice`)
    const { buckets = 1, cost = 1 } = policy
    mistakes.push(...mistakesOf({ ...policy, buckets, cost }).map((text) => `policy ${policy.name}: ${text}`))
    const { name, limit, windowMs, block, newKeysPerSecond } = policy
    const widthMs = windowMs / buckets
    checked.set(name, { name, limit, windowMs, buckets, cost, block, newKeysPerSecond, widthMs })
  }
  if (policies.length === 0) mistakes.push('at least one policy is needed')
  if (mistakes.length > 0) throw new RateLimitError('INVALID_OPTIONS', mistakes.join('; '))
  return checked
}

function mistakesOf(policy: Policy & { readonly buckets: number; readonly cost: number }): readonly string[] {
  const { name, limit, windowMs, buckets, cost, block, newKeysPerSecond } = policy
  const rules: readonly (readonly [boolean, string])[] = [
    [namePattern.test(name), 'name must match [A-Za-z0-9_.-]{1,64}'],
    [isWhole(limit, 1, 1_000_000_000), 'limit must be a whole number from 1 to 1e9'],
    [isWhole(windowMs, 1, 31 * 86_400_000), 'windowMs must be a whole number from 1 to 31 days'],
    // Counters are multiplied by milliseconds, in JavaScript and in Lua: the product must stay an exact integer.
    [limit * windowMs * 2 <= Number.MAX_SAFE_INTEGER, 'limit × windowMs is too large for exact integers'],
    [isWhole(buckets, 1, maxBuckets), `buckets must be a whole number from 1 to ${maxBuckets}`],
    [Number.isInteger(windowMs / buckets), 'windowMs must divide by buckets'],
    [isWhole(cost, 0, limit), 'cost must be a whole number from 0 to limit'],
    [block === undefined || isWhole(block.afterDenials, 1, 1_000_000), 'block.afterDenials must be 1 to 1e6'],
    [
      block === undefined || isWhole(block.durationMs, 1, 31 * 86_400_000),
      'block.durationMs must be 1 to 31 days',
    ],
    [
      newKeysPerSecond === undefined || isWhole(newKeysPerSecond, 1, 1_000_000),
      'newKeysPerSecond must be 1 to 1e6',
    ],
  ]
  return rules.filter(([holds]) => !holds).map(([, text]) => text)
}

/** Whether it is an integer within both bounds. */
export function isWhole(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most
}
