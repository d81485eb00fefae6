import type { BrokerHealth } from '../broker.ts'

export interface ProbeOptions {
  readonly intervalMs: number
  /** Without a message back for this long the link counts as dead. */
  readonly timeoutMs: number
  /** Publishes one message that comes back as `heard`. */
  readonly send: () => Promise<unknown>
  /** Nothing came back for `timeoutMs`; called again after each further `timeoutMs`. */
  readonly onSilent: () => void
  readonly onError: (error: unknown) => void
}

/**
 * Sends itself a message on the way that all messages go. A link can be up and bring nothing (a hung server, a half
 * open connection): nothing else notices that.
 */
export class Probe {
  readonly #options: ProbeOptions
  readonly #timer: NodeJS.Timeout
  #heardAtMs: number | undefined
  #actedAtMs: number
  #sending = false

  constructor(options: ProbeOptions) {
    this.#options = options
    this.#actedAtMs = performance.now()
    this.#timer = setInterval(() => this.#beat(), options.intervalMs)
    this.#timer.unref()
  }

  /** A probe's message arrived. */
  heard(): void {
    this.#heardAtMs = performance.now()
  }

  /** Sends one now, beside the regular ones. */
  async now(): Promise<void> {
    if (this.#sending) return
    this.#sending = true
    try {
      await this.#options.send()
    } catch (error) {
      this.#options.onError(error)
    } finally {
      this.#sending = false
    }
  }

  health(): BrokerHealth {
    const heardAtMs = this.#heardAtMs
    if (heardAtMs === undefined) return { ok: false, reason: 'not connected yet' }
    const probeAgeMs = performance.now() - heardAtMs
    if (probeAgeMs <= this.#options.timeoutMs) return { ok: true, probeAgeMs }
    return { ok: false, probeAgeMs, reason: 'messages do not come through' }
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #beat(): void {
    const nowMs = performance.now()
    const { timeoutMs, onSilent } = this.#options
    if (nowMs - Math.max(this.#heardAtMs ?? 0, this.#actedAtMs) > timeoutMs) {
      this.#actedAtMs = nowMs
      onSilent()
    }
    void this.now()
  }
}
