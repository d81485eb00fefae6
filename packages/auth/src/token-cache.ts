export interface TokenCacheOptions {
  readonly maxEntries: number
  /** Most characters of tokens held at once; what is kept beside a token takes some twice as much again. */
  readonly maxBytes: number
  /** How often what is over is removed, in ms: no token stays for longer than this after its end. */
  readonly sweepMs: number
  readonly now: () => number
}

interface Entry<T> {
  readonly token: string
  readonly value: T
  readonly untilMs: number
  used: boolean
}

/** Characters of the signature's end that a lookup hashes: 192 bits. Two good tokens with the same end only take turns. */
const keyLength = 32

/**
 * Verified tokens, found by the end of their signature and then by equality of the whole token: exact, and cheaper than
 * any hash of it (a `Map` with the token as key would hash all of it, twice as slow as SHA-256 of the signature). The
 * price: tokens that are in use anyway stay in memory until they are over or `ttlMs` old, and a sweep longer.
 * Bounded; evicts the first entry in a round that was not used since the last one (CLOCK), so a hit writes one flag.
 */
export class TokenCache<T> {
  readonly #entries = new Map<string, Entry<T>>()
  readonly #options: TokenCacheOptions
  /** Where the round is. Kept: a new iterator would first pass by all that was deleted before. */
  #round = this.#entries.entries()
  #bytes = 0
  #sweeping: NodeJS.Timeout | undefined

  constructor(options: TokenCacheOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#entries.size
  }

  get bytes(): number {
    return this.#bytes
  }

  get(token: string): T | undefined {
    const entry = this.#entries.get(token.slice(-keyLength))
    if (entry === undefined || entry.token !== token || entry.untilMs <= this.#options.now()) return undefined
    entry.used = true
    return entry.value
  }

  set(token: string, { value, untilMs }: { readonly value: T; readonly untilMs: number }): void {
    const { maxEntries, maxBytes } = this.#options
    if (token.length > maxBytes) return
    const own = unshared(token)
    const key = own.slice(-keyLength)
    this.#remove(key)
    while (this.#entries.size >= maxEntries || this.#bytes + own.length > maxBytes) this.#evict()
    this.#entries.set(key, { token: own, value, untilMs, used: false })
    this.#bytes += own.length
    this.#sweeping ??= this.#sweepLater()
  }

  clear(): void {
    this.#entries.clear()
    this.#bytes = 0
    clearTimeout(this.#sweeping)
    this.#sweeping = undefined
  }

  #remove(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#entries.delete(key)
    this.#bytes -= entry.token.length
  }

  #evict(): void {
    for (;;) {
      let next = this.#round.next()
      if (next.done === true) {
        this.#round = this.#entries.entries()
        next = this.#round.next()
      }
      if (next.done === true) return
      const [key, entry] = next.value
      if (!entry.used) return this.#remove(key)
      entry.used = false
    }
  }

  #sweepLater(): NodeJS.Timeout {
    return setTimeout(() => this.#sweep(), this.#options.sweepMs).unref()
  }

  /** An empty cache has no timer: one that nobody closes can be collected. */
  #sweep(): void {
    const nowMs = this.#options.now()
    for (const [key, { untilMs }] of this.#entries) if (untilMs <= nowMs) this.#remove(key)
    this.#sweeping = this.#entries.size === 0 ? undefined : this.#sweepLater()
  }
}

/** A slice keeps the text it was cut from alive; this copies it. Tokens are ASCII. */
export function unshared(slice: string): string {
  return Buffer.from(slice, 'latin1').toString('latin1')
}
