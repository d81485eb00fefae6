export interface TokenCacheOptions {
  readonly maxEntries: number
  /** Most characters of tokens held at once; what is kept beside a token takes some twice as much again. */
  readonly maxBytes: number
  /** How often what is over is removed, in ms: no token stays for longer than this after its end. */
  readonly sweepMs: number
  readonly now: () => number
}

interface Entry<T> {
  readonly key: string
  readonly token: string
  readonly value: T
  readonly untilMs: number
  used: boolean
  /** Its neighbours in the round. */
  before: Entry<T>
  after: Entry<T>
}

/** Characters of the signature's end that a lookup hashes: 192 bits. Two good tokens with the same end only take turns. */
const keyLength = 32

/**
 * Verified tokens, found by the end of their signature and then by equality of the whole token: exact, and cheaper than
 * any hash of it (a `Map` with the token as key would hash all of it, twice as slow as SHA-256 of the signature). The
 * price: tokens that are in use anyway stay in memory until they are over or `ttlMs` old, and a sweep longer.
 * Bounded; evicts the first entry in a round that was not used since the last one (CLOCK), so a hit writes one flag.
 * The round is a ring of the entries: an iterator of the Map that is kept between evictions would keep all that was in the
 * Map since it last moved (V8 leads it there through all that the Map outgrew), tokens that are over among them.
 */
export class TokenCache<T> {
  readonly #entries = new Map<string, Entry<T>>()
  readonly #options: TokenCacheOptions
  /** Where the round is. */
  #next: Entry<T> | undefined
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
    const known = this.#entries.get(key)
    if (known !== undefined) this.#remove(known)
    while (this.#entries.size >= maxEntries || this.#bytes + own.length > maxBytes) this.#evict()
    this.#add({ key, token: own, value, untilMs, used: false } as Entry<T>)
    this.#sweeping ??= this.#sweepLater()
  }

  clear(): void {
    this.#entries.clear()
    this.#next = undefined
    this.#bytes = 0
    clearTimeout(this.#sweeping)
    this.#sweeping = undefined
  }

  /** Links it as the last of the round. */
  #add(entry: Entry<T>): void {
    entry.before = this.#next?.before ?? entry
    entry.after = this.#next ?? entry
    entry.before.after = entry
    entry.after.before = entry
    this.#next ??= entry
    this.#entries.set(entry.key, entry)
    this.#bytes += entry.token.length
  }

  #remove(entry: Entry<T>): void {
    const { before, after } = entry
    before.after = after
    after.before = before
    if (this.#next === entry) this.#next = after === entry ? undefined : after
    this.#entries.delete(entry.key)
    this.#bytes -= entry.token.length
  }

  #evict(): void {
    let entry = this.#next
    for (; entry?.used === true; entry = entry.after) entry.used = false
    if (entry === undefined) return
    this.#next = entry
    this.#remove(entry)
  }

  #sweepLater(): NodeJS.Timeout {
    return setTimeout(() => this.#sweep(), this.#options.sweepMs).unref()
  }

  /** An empty cache has no timer: one that nobody closes can be collected. */
  #sweep(): void {
    const nowMs = this.#options.now()
    for (const entry of this.#entries.values()) if (entry.untilMs <= nowMs) this.#remove(entry)
    this.#sweeping = this.#entries.size === 0 ? undefined : this.#sweepLater()
  }
}

/** A slice keeps the text it was cut from alive; this copies it. Tokens are ASCII. */
export function unshared(slice: string): string {
  return Buffer.from(slice, 'latin1').toString('latin1')
}
