import { hash } from 'node:crypto'

interface Entry<T> {
  readonly signingInput: string
  readonly value: T
  readonly untilMs: number
  used: boolean
}

/**
 * Verified tokens, by the SHA-256 of their signature, and then by equality of all before it: together the whole token,
 * at the price of hashing only its last part. A heap dump shows no signature, hence no token that could be used.
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

  get(token: string, nowMs: number): T | undefined {
    const signatureAt = token.lastIndexOf('.') + 1
    const entry = this.#entries.get(digest(token.slice(signatureAt)))
    // `===` on equal lengths is one memory compare; the strings are slices, nothing is copied.
    if (entry === undefined || entry.signingInput !== token.slice(0, signatureAt)) return undefined
    if (entry.untilMs <= nowMs) return undefined
    entry.used = true
    return entry.value
  }

  set(token: string, entry: { readonly value: T; readonly untilMs: number }): void {
    const signatureAt = token.lastIndexOf('.') + 1
    const key = digest(token.slice(signatureAt))
    this.#entries.delete(key)
    if (this.#entries.size >= this.#maxEntries) this.#evict()
    const signingInput = unshared(token.slice(0, signatureAt))
    this.#entries.set(key, { ...entry, signingInput, used: false })
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

function digest(signature: string): string {
  return hash('sha256', signature, 'base64url')
}

/** A slice keeps the text it was cut from alive, here the whole token; this copies it. Tokens are ASCII. */
export function unshared(slice: string): string {
  return Buffer.from(slice, 'latin1').toString('latin1')
}
