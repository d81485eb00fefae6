/** An exact sliding log of one connection: the times of its messages in the last window, `limit` of them at most. */
export class MessageWindow {
  readonly #limit: number
  readonly #windowMs: number
  /** Oldest first; an array and not a ring of `limit` places, because most sockets are quiet. */
  #times: number[] = []
  /** Where the window begins in it. */
  #start = 0

  constructor(limit: number, windowMs: number) {
    this.#limit = limit
    this.#windowMs = windowMs
  }

  /** 0 when a message fits now, else the exact wait in ms. */
  waitMs(nowMs: number): number {
    const { length } = this.#times
    while (this.#start < length && (this.#times[this.#start] ?? 0) + this.#windowMs <= nowMs) this.#start += 1
    if (this.#start > 16 && this.#start * 2 > length) {
      this.#times = this.#times.slice(this.#start)
      this.#start = 0
    }
    const full = this.#times.length - this.#start >= this.#limit
    return full ? (this.#times[this.#start] ?? 0) + this.#windowMs - nowMs : 0
  }

  /** Counts a message that fits. */
  add(nowMs: number): void {
    this.#times.push(nowMs)
  }
}
