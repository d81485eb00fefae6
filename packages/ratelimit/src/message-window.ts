/** An exact sliding log of one connection: the times of its last `limit` messages in a ring of fixed size. */
export class MessageWindow {
  readonly #times: Float64Array
  readonly #windowMs: number
  /** Where the oldest time stands. */
  #at = 0

  constructor(limit: number, windowMs: number) {
    this.#times = new Float64Array(limit).fill(Number.NEGATIVE_INFINITY)
    this.#windowMs = windowMs
  }

  /** 0 when a message fits now, else the exact wait in ms. */
  waitMs(nowMs: number): number {
    return Math.max(0, (this.#times[this.#at] ?? 0) + this.#windowMs - nowMs)
  }

  /** Counts a message that fits. */
  add(nowMs: number): void {
    this.#times[this.#at] = nowMs
    this.#at = (this.#at + 1) % this.#times.length
  }
}
