/** The exact oracle: every admitted hit with its time. */
export class SlidingLog {
  readonly #hits: { readonly at: number; readonly cost: number }[] = []
  readonly #windowMs: number

  constructor(windowMs: number) {
    this.#windowMs = windowMs
  }

  add(at: number, cost: number): void {
    this.#hits.push({ at, cost })
  }

  /** The most that any window (t - windowMs, t] holds: windows that end at a hit hold the most. */
  most(): number {
    let most = 0
    for (const { at: end } of this.#hits) {
      let sum = 0
      for (const { at, cost } of this.#hits) if (at > end - this.#windowMs && at <= end) sum += cost
      most = Math.max(most, sum)
    }
    return most
  }
}
