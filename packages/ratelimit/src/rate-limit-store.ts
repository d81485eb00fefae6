import type { CheckedPolicy } from './policy.ts'
import type { WindowState } from './sliding-window.ts'

/** One key to judge. */
export interface StoreRequest {
  readonly policy: CheckedPolicy
  /** Who is limited: non-empty, at most 128 characters of `A-Z a-z 0-9 _ . : / @ # -`. */
  readonly subject: string
  readonly cost: number
  /** Refusals answered from a cache since the last call, for policies with a block. */
  readonly refusals: number
}

/**
 * `consume` counts all or nothing; `check` counts nothing; `increment` counts in any case.
 */
export type StoreMode = 'consume' | 'check' | 'increment'

/** Where each key stands after the call, in the order of the requests. */
export interface StoreAnswer {
  /** Whether every key had room for its cost. */
  readonly allowed: boolean
  readonly keys: readonly StoreKey[]
}

export interface StoreKey {
  /** Whether the cost had room. */
  readonly fits: boolean
  readonly state: WindowState
  /** The store's time when it looked, in ms: another clock than the caller's. */
  readonly nowMs: number
}

/**
 * Where the counters live. One call is one round trip and atomic over all its keys, or, where keys live on several
 * nodes, never admits more than the limit. Implementations reject with STORE_UNAVAILABLE within their own deadline.
 */
export interface RateLimitStore {
  /** `memory` answers without leaving the process, so nothing is cached in front of it. */
  readonly kind: 'memory' | 'redis'
  judge(requests: readonly StoreRequest[], mode: StoreMode): StoreAnswer | Promise<StoreAnswer>
  /** Forgets the keys: counters and block. */
  reset(requests: readonly Pick<StoreRequest, 'policy' | 'subject'>[]): void | Promise<void>
  /** Ends what the store opened; may be called again. */
  close(): void | Promise<void>
}

/** The name of a key in any store. Its shape is part of it: a changed policy starts with fresh counters. */
export function storeKeyOf({ policy, subject }: Pick<StoreRequest, 'policy' | 'subject'>): string {
  return `{${subject}}:${policy.name}:${policy.windowMs}:${policy.buckets}`
}
