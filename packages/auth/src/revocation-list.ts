import { type Revocable, type Revocation, targetOf } from './revocation.ts'

/** A revocation and the instant from which no token it could hit is alive, so that it may be forgotten. */
export interface LastingRevocation extends Revocation {
  readonly untilMs: number
}

/**
 * Revocations in memory, found by their target in O(1). Holds at most `capacity` targets; when full it first forgets
 * what is over, then says no: a revocation is never dropped to make room for another.
 */
export class RevocationList {
  readonly #byTarget = new Map<string, LastingRevocation>()
  readonly #capacity: number

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get size(): number {
    return this.#byTarget.size
  }

  /** Is an equal or wider revocation already held? */
  covers({ kind, value, issuedBeforeMs }: Revocation, nowMs: number): boolean {
    const held = this.#byTarget.get(keyOf(kind, value))
    return held !== undefined && held.issuedBeforeMs >= issuedBeforeMs && held.untilMs > nowMs
  }

  /** `known` when an equal or wider revocation is already held, `full` when there is no room. */
  add(revocation: LastingRevocation, nowMs: number): 'added' | 'known' | 'full' {
    const key = keyOf(revocation.kind, revocation.value)
    const held = this.#byTarget.get(key)
    if (this.covers(revocation, nowMs)) return 'known'
    if (held === undefined && this.#byTarget.size >= this.#capacity && !this.#prune(nowMs)) return 'full'
    this.#byTarget.set(key, { ...revocation, untilMs: Math.max(revocation.untilMs, held?.untilMs ?? 0) })
    return 'added'
  }

  hits(token: Revocable, nowMs: number): boolean {
    const bornMs = token.issuedAtMs ?? -Infinity
    return targets.some((kind) => {
      const value = targetOf(kind, token)
      const held = value === undefined ? undefined : this.#byTarget.get(keyOf(kind, value))
      return held !== undefined && held.untilMs > nowMs && bornMs < held.issuedBeforeMs
    })
  }

  /** What is still in force. */
  live(nowMs: number): LastingRevocation[] {
    return [...this.#byTarget.values()].filter(({ untilMs }) => untilMs > nowMs)
  }

  #prune(nowMs: number): boolean {
    for (const [key, { untilMs }] of this.#byTarget) if (untilMs <= nowMs) this.#byTarget.delete(key)
    return this.#byTarget.size < this.#capacity
  }
}

const targets = ['subject', 'session', 'token'] as const

function keyOf(kind: Revocation['kind'], value: string): string {
  return `${kind}:${value}`
}
