import type { KeyDecision } from './decision.ts'

/** A refusal that still holds. */
interface Refusal {
  readonly decision: KeyDecision
  readonly cost: number
  readonly notedAtMs: number
  /** When the store is asked again, at the latest. */
  readonly staleAtMs: number
  /** Refusals answered from here that the store doesn't know of yet. */
  unreported: number
  movedAtMs: number
}

/** A key in use moves to the young end at most so often: a flood must not pay for the order. */
const touchEveryMs = 100

export interface DenyCacheOptions {
  readonly maxKeys: number
  readonly maxAgeMs: number
}

/**
 * Remembers refusals of one policy for as long as they must hold, at most `maxAgeMs`: because a refusal consumes nothing, nothing but
 * a reset can make room earlier. So a flood from one key stays in the process. Forgets the least recently used first.
 */
export class DenyCache {
  readonly #refusals = new Map<string, Refusal>()
  readonly #options: DenyCacheOptions

  constructor(options: DenyCacheOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#refusals.size
  }

  /** The refusal that holds for a hit of this cost, with the waits as of now. */
  find(key: string, cost: number, nowMs: number): KeyDecision | undefined {
    const refusal = this.#refusals.get(key)
    if (refusal === undefined || nowMs >= refusal.staleAtMs || !(cost >= refusal.cost)) return undefined
    if (nowMs - refusal.movedAtMs > touchEveryMs) {
      refusal.movedAtMs = nowMs
      this.#refusals.delete(key)
      this.#refusals.set(key, refusal)
    }
    const age = nowMs - refusal.notedAtMs
    const { policy, key: name, limit, remaining, retryAfterMs, resetMs, moreAfterMs } = refusal.decision
    return {
      policy,
      key: name,
      allowed: false,
      limit,
      remaining,
      retryAfterMs: Math.max(1, Math.ceil(retryAfterMs - age)),
      resetMs: Math.max(0, Math.ceil(resetMs - age)),
      moreAfterMs: Math.max(0, Math.ceil(moreAfterMs - age)),
    }
  }

  /** How many refusals were answered from here since the store last heard of the key. */
  unreportedOf(key: string): number {
    return this.#refusals.get(key)?.unreported ?? 0
  }

  countRefusal(key: string): void {
    const refusal = this.#refusals.get(key)
    if (refusal !== undefined) refusal.unreported += 1
  }

  note(key: string, refused: { decision: KeyDecision; cost: number }, nowMs: number): void {
    const { maxKeys, maxAgeMs } = this.#options
    const staleAtMs = nowMs + Math.min(refused.decision.retryAfterMs, maxAgeMs)
    this.#refusals.delete(key)
    this.#refusals.set(key, { ...refused, notedAtMs: nowMs, movedAtMs: nowMs, staleAtMs, unreported: 0 })
    if (this.#refusals.size <= maxKeys) return
    for (const oldest of this.#refusals.keys()) {
      this.#refusals.delete(oldest)
      return
    }
  }

  forget(key: string): void {
    this.#refusals.delete(key)
  }

  clear(): void {
    this.#refusals.clear()
  }
}
