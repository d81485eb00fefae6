import type { Revocable, Revocation } from './revocation.ts'

/** A revocation and the instant from which no token it could hit is alive, so that it may be forgotten. */
export interface LastingRevocation extends Revocation {
  readonly untilMs: number
}

/**
 * Revocations in memory, found by their target in O(1). Holds at most `capacity` targets; when full it first forgets
 * what is over, then says no: a revocation is never dropped to make room for another.
 */
export class RevocationList {
  // A map for each kind: every use of a token asks, and need not build a key to do so.
  readonly #held: Readonly<Record<Revocation['kind'], Map<string, LastingRevocation>>> = {
    subject: new Map(),
    session: new Map(),
    token: new Map(),
  }
  readonly #capacity: number

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get size(): number {
    const { subject, session, token } = this.#held
    return subject.size + session.size + token.size
  }

  /** Is an equal or wider revocation already held? */
  covers({ kind, value, issuedBeforeMs }: Revocation, nowMs: number): boolean {
    const held = this.#held[kind].get(value)
    return held !== undefined && held.issuedBeforeMs >= issuedBeforeMs && held.untilMs > nowMs
  }

  /** `known` when an equal or wider revocation is already held, `full` when there is no room. */
  add(revocation: LastingRevocation, nowMs: number): 'added' | 'known' | 'full' {
    const { kind, value } = revocation
    const held = this.#held[kind].get(value)
    if (this.covers(revocation, nowMs)) return 'known'
    if (held === undefined && this.size >= this.#capacity && !this.#prune(nowMs)) return 'full'
    this.#held[kind].set(value, {
      ...revocation,
      untilMs: Math.max(revocation.untilMs, held?.untilMs ?? 0),
    })
    return 'added'
  }

  hits({ subject, sessionId, tokenId, issuedAtMs = -Infinity }: Revocable, nowMs: number): boolean {
    const { subject: subjects, session: sessions, token: tokens } = this.#held
    return (
      isHitBy(subjects.get(subject), issuedAtMs, nowMs) ||
      (sessionId !== undefined && isHitBy(sessions.get(sessionId), issuedAtMs, nowMs)) ||
      (tokenId !== undefined && isHitBy(tokens.get(tokenId), issuedAtMs, nowMs))
    )
  }

  /** What is still in force. */
  live(nowMs: number): LastingRevocation[] {
    return Object.values(this.#held)
      .flatMap((held) => [...held.values()])
      .filter(({ untilMs }) => untilMs > nowMs)
  }

  #prune(nowMs: number): boolean {
    for (const held of Object.values(this.#held))
      for (const [value, { untilMs }] of held) if (untilMs <= nowMs) held.delete(value)
    return this.size < this.#capacity
  }
}

function isHitBy(held: LastingRevocation | undefined, bornMs: number, nowMs: number): boolean {
  return held !== undefined && held.untilMs > nowMs && bornMs < held.issuedBeforeMs
}
