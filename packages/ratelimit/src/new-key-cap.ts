export interface NewKeyCapOptions {
  /** How many keys that were not seen lately are admitted in each second. */
  readonly perSecond: number
  /** How long an admitted key counts as seen, at least, unless `maxKeys` others came up: as long as the store keeps it. */
  readonly keepMs: number
  /** Keys remembered at most. Default 100 000. */
  readonly maxKeys?: number
}

/**
 * Bounds how many new keys come up per second, against a spray: one hit from each of a million addresses would fill the
 * store. Remembers keys in two generations, so that forgetting costs nothing: a full or old one takes the other's place.
 */
export class NewKeyCap {
  readonly #options: Required<NewKeyCapOptions>
  #young = new Set<string>()
  #old = new Set<string>()
  #turnedAtMs = 0
  #second = 0
  #admitted = 0

  constructor(options: NewKeyCapOptions) {
    this.#options = { maxKeys: 100_000, ...options }
  }

  /** Keys remembered now. */
  get size(): number {
    return this.#young.size + this.#old.size
  }

  /** Whether the key was seen lately, or is one of the new ones that this second still admits. */
  admits(key: string, nowMs: number): boolean {
    const { perSecond, keepMs, maxKeys } = this.#options
    if (this.#young.has(key)) return true
    if (this.#young.size * 2 >= maxKeys || nowMs - this.#turnedAtMs >= keepMs) {
      this.#old = nowMs - this.#turnedAtMs >= 2 * keepMs ? new Set() : this.#young
      this.#young = new Set()
      this.#turnedAtMs = nowMs
    }
    const second = Math.floor(nowMs / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#admitted = 0
    }
    if (!this.#old.delete(key)) {
      if (this.#admitted >= perSecond) return false
      this.#admitted += 1
    }
    this.#young.add(key)
    return true
  }
}
