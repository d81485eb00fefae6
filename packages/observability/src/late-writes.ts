/** So many wait at most, and for so long. */
const [mostWaiting, waitMs] = [100, 50]

/** What has time and is done one after the other then: between other work each would cost several times as much. */
export class LateWrites {
  readonly #onFailure: (error: unknown) => void
  #waiting: (() => void)[] = []
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  /** `onFailure` hears of what was thrown; the others are done all the same. */
  constructor(onFailure: (error: unknown) => void) {
    this.#onFailure = onFailure
  }

  /** Does `write` soon. */
  add(write: () => void): void {
    this.#waiting.push(write)
    if (this.#isClosed || this.#waiting.length >= mostWaiting) this.flush()
    else this.#timer ??= setTimeout(() => this.flush(), waitMs).unref()
  }

  /** The same; what comes from now on is done at once. */
  close(): void {
    this.#isClosed = true
    this.flush()
  }

  /** Does all that waits. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const waiting = this.#waiting
    this.#waiting = []
    for (const write of waiting)
      try {
        write()
      } catch (error) {
        this.#onFailure(error)
      }
  }
}
