export interface CircuitBreakerOptions {
  /** Failures within `windowMs` that open it. */
  readonly failures: number
  readonly windowMs: number
  /** While open, how often to look whether the other side is back. */
  readonly probeEveryMs: number
  /** Resolves when the other side is back. */
  readonly probe: () => Promise<unknown>
  readonly now: () => number
}

/**
 * Stops asking a side that keeps failing.
 *
 *     closed ──(failures within windowMs)──▶ open ──(a probe succeeds)──▶ closed
 *
 * It has no timer: a call that finds it open starts the probe, at most one every `probeEveryMs`, and does not wait for it.
 */
export class CircuitBreaker {
  readonly #options: CircuitBreakerOptions
  #failedAtMs: number[] = []
  #open = false
  #probedAtMs = Number.NEGATIVE_INFINITY
  #probing = false

  constructor(options: CircuitBreakerOptions) {
    this.#options = options
  }

  /** Whether a call may go; when not, a probe may have begun. */
  get closed(): boolean {
    if (this.#open) this.#probe()
    return !this.#open
  }

  failed(): void {
    const { failures, windowMs, now } = this.#options
    const nowMs = now()
    this.#failedAtMs = this.#failedAtMs.filter((at) => at > nowMs - windowMs)
    this.#failedAtMs.push(nowMs)
    if (this.#failedAtMs.length < failures || this.#open) return
    this.#open = true
    this.#failedAtMs = []
    this.#probedAtMs = nowMs
  }

  #probe(): void {
    const { now, probeEveryMs, probe } = this.#options
    if (this.#probing || now() - this.#probedAtMs < probeEveryMs) return
    this.#probedAtMs = now()
    this.#probing = true
    probe().then(
      () => {
        this.#open = false
        this.#probing = false
      },
      () => {
        this.#probing = false
      },
    )
  }
}
