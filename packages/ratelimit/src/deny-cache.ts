import type { Decision, KeyDecision } from './decision.ts'
import type { CheckedPolicy } from './policy.ts'
import { RecencyMap } from './recency-map.ts'

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
  /** What a call for this key alone was told last. */
  answer: Answer | undefined
}

/** An answer to hand out again while its waits are true: within the same millisecond, by any clock. */
export interface Answer {
  readonly decision: Decision
  readonly promise: Promise<Decision>
  readonly tick: number
}

/** A key in use moves to the young end at most so often: a flood must not pay for the order. */
const touchEveryMs = 100

export interface DenyCacheOptions {
  readonly policy: CheckedPolicy
  readonly maxKeys: number
  readonly maxAgeMs: number
}

/**
 * Remembers refusals of one policy for as long as they must hold, at most `maxAgeMs`: because a refusal consumes nothing, nothing but
 * a reset can make room earlier. So a flood from one key stays in the process. Forgets the least recently used first.
 */
export class DenyCache {
  readonly #refusals = new RecencyMap<Refusal>()
  readonly #options: DenyCacheOptions

  constructor(options: DenyCacheOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#refusals.size
  }

  /** The refusal that holds for a hit of this cost, with the waits as of now. */
  find(key: string, asked: number | undefined, nowMs: number): KeyDecision | undefined {
    const refusal = this.#refusals.get(key)
    const cost = asked ?? this.#options.policy.cost
    if (refusal === undefined || nowMs >= refusal.staleAtMs || !(cost >= refusal.cost)) return undefined
    if (nowMs - refusal.movedAtMs > touchEveryMs) {
      refusal.movedAtMs = nowMs
      this.#refusals.use(key)
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

  /** The answer of this very millisecond to a call for this key alone, counted as one more refusal. */
  again(key: string, cost: number | undefined, tick: number): Answer | undefined {
    const refusal = this.#refusals.get(key)
    const answer = refusal?.answer
    if (refusal === undefined || answer === undefined || answer.tick !== tick) return undefined
    const { policy } = this.#options
    if (!((cost ?? policy.cost) >= refusal.cost) || this.#blocksNext(refusal)) return undefined
    refusal.unreported += 1
    return answer
  }

  /** Keeps what a call for this key alone was told, to hand it out `again`. */
  keepAnswer(key: string, decision: Decision, tick: number): void {
    const refusal = this.#refusals.get(key)
    if (refusal === undefined) return
    for (const result of decision.results) Object.freeze(result)
    Object.freeze(decision.results)
    Object.freeze(decision)
    refusal.answer = { decision, promise: Promise.resolve(decision), tick }
  }

  /** Whether the next refusal blocks the key. It must reach the store: it is the one that all instances then see. */
  blocksNext(key: string): boolean {
    const refusal = this.#refusals.get(key)
    return refusal !== undefined && this.#blocksNext(refusal)
  }

  #blocksNext({ unreported }: Refusal): boolean {
    const { block } = this.#options.policy
    return block !== undefined && unreported + 1 >= block.afterDenials
  }

  /** How many refusals were answered from here that the store has not heard of. Told to one call: the next gets 0. */
  takeUnreported(key: string): number {
    const refusal = this.#refusals.get(key)
    if (refusal === undefined) return 0
    const { unreported } = refusal
    refusal.unreported = 0
    return unreported
  }

  /** Counts refusals answered from here, or taken by a call that the store did not hear. */
  countRefusals(key: string, count: number): void {
    const refusal = this.#refusals.get(key)
    if (refusal !== undefined) refusal.unreported += count
  }

  note(key: string, refused: { decision: KeyDecision; cost: number }, nowMs: number): void {
    const { maxKeys, maxAgeMs } = this.#options
    const staleAtMs = nowMs + Math.min(refused.decision.retryAfterMs, maxAgeMs)
    const noted = { ...refused, notedAtMs: nowMs, movedAtMs: nowMs, staleAtMs }
    // Those answered from here while the call was on its way.
    const unreported = this.#refusals.get(key)?.unreported ?? 0
    this.#refusals.set(key, { ...noted, unreported, answer: undefined })
    const { oldest, size } = this.#refusals
    if (oldest !== undefined && size > maxKeys) this.#refusals.delete(oldest.key)
  }

  forget(key: string): void {
    this.#refusals.delete(key)
  }

  clear(): void {
    this.#refusals.clear()
  }
}
