import { hash } from 'node:crypto'

interface Entry<T> {
  readonly value: T
  readonly untilMs: number
  used: boolean
}

/**
 * Verified tokens by SHA-256 of the whole token: the cache holds no token that could be stolen from a heap dump.
 * Bounded; evicts the first entry in a sweep that was not used since the last one (CLOCK), so a hit writes one flag.
 */
export class TokenCache<T> {
  readonly #entries = new Map<string, Entry<T>>()
  readonly #maxEntries: number

  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries
  }

  get size(): number {
    return this.#entries.size
  }

  get(key: string, nowMs: number): T | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    if (entry.untilMs <= nowMs) {
      this.#entries.delete(key)
      return undefined
    }
    entry.used = true
    return entry.value
  }

  set(key: string, value: T, untilMs: number): void {
    this.#entries.delete(key)
    if (this.#entries.size >= this.#maxEntries) this.#evict()
    this.#entries.set(key, { value, untilMs, used: false })
  }

  clear(): void {
    this.#entries.clear()
  }

  #evict(): void {
    for (const [key, entry] of this.#entries) {
      this.#entries.delete(key)
      if (!entry.used) return
      entry.used = false
      this.#entries.set(key, entry)
    }
  }
}

/** The key of a token in the cache; one call into the crypto library, about a microsecond. */
export function tokenDigest(token: string): string {
  return hash('sha256', token, 'base64url')
}
