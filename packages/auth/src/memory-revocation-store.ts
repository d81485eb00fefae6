import { AuthError } from './auth-error.ts'
import { checkNumbers } from './check-numbers.ts'
import type { Revocable, Revocation } from './revocation.ts'
import { RevocationList } from './revocation-list.ts'
import type { RevocationStore } from './revocation-store.ts'

export interface MemoryRevocationStoreOptions {
  /** How long a revocation is kept: at least the verifier's `maxLifetimeMs` plus skew. Default 24 h and 5 min. */
  readonly retentionMs?: number
  /** Most targets and one-time ids held at once. Default 100 000 each. */
  readonly capacity?: number
  readonly now?: () => number
}

/** 24 hours, the verifier's default for the longest token life, and five minutes for clocks that differ. */
const defaultRetentionMs: number = (24 * 60 + 5) * 60_000

/** What every store takes, with the defaults. Throws `bad_option` where revocations would be gone at once, or have no bound. */
export function checkRetention({
  retentionMs = defaultRetentionMs,
  capacity = 100_000,
}: Pick<MemoryRevocationStoreOptions, 'retentionMs' | 'capacity'>): {
  retentionMs: number
  capacity: number
} {
  checkNumbers({ retentionMs, capacity }, { least: 1 })
  return { retentionMs: Math.ceil(retentionMs), capacity }
}

/**
 * Revocations of one process, gone with it. `revoke` rejects with `revocations_full` at capacity. Throws `bad_option` for
 * options that cannot work.
 */
export class MemoryRevocationStore implements RevocationStore {
  readonly #retentionMs: number
  readonly #capacity: number
  readonly #now: () => number
  readonly #list: RevocationList
  readonly #listeners = new Set<(revocation: Revocation) => void>()
  readonly #once = new Map<string, number>()

  constructor(options: MemoryRevocationStoreOptions = {}) {
    const { retentionMs, capacity } = checkRetention(options)
    this.#retentionMs = retentionMs
    this.#capacity = capacity
    this.#now = options.now ?? Date.now
    this.#list = new RevocationList(this.#capacity)
  }

  revoke(revocation: Revocation): Promise<void> {
    const nowMs = this.#now()
    const outcome = this.#list.add({ ...revocation, untilMs: nowMs + this.#retentionMs }, nowMs)
    if (outcome === 'full')
      return Promise.reject(new AuthError('revocations_full', 'No room for another revocation'))
    if (outcome === 'added') for (const listener of this.#listeners) listener(revocation)
    return Promise.resolve()
  }

  isRevoked(token: Revocable): boolean {
    return this.#list.size > 0 && this.#list.hits(token, this.#now())
  }

  onRevoked(listener: (revocation: Revocation) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  lastSyncMs(): number {
    return this.#now()
  }

  isReady(): boolean {
    return true
  }

  whenReady(): Promise<void> {
    return Promise.resolve()
  }

  claimOnce(id: string, untilMs: number): Promise<boolean> {
    const nowMs = this.#now()
    const usedUntilMs = this.#once.get(id)
    if (usedUntilMs !== undefined && usedUntilMs > nowMs) return Promise.resolve(false)
    if (this.#once.size >= this.#capacity)
      for (const [used, until] of this.#once) if (until <= nowMs) this.#once.delete(used)
    if (this.#once.size >= this.#capacity)
      return Promise.reject(new AuthError('revocations_full', 'No room for another one-time id'))
    this.#once.set(id, untilMs)
    return Promise.resolve(true)
  }

  close(): Promise<void> {
    this.#listeners.clear()
    return Promise.resolve()
  }
}
