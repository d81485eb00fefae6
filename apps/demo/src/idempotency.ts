import type { Clock } from './clock.ts'
import { PlatformError } from './platform-error.ts'

/** One call that must take effect once. */
export interface IdempotentCall<T> {
  /** The RPC's name: keys of different RPCs never meet. */
  readonly rpc: string
  readonly key: string
  readonly ttlMs: number
  /** Which answers are kept; errors never are. Default: all. */
  readonly isKept?: (answer: T) => boolean
  readonly run: () => Promise<T> | T
}

export interface IdempotencyOptions {
  readonly clock: Clock
  /** How long a duplicate waits for the first call, in ms. Default 5000. */
  readonly waitMs?: number
  /** Kept answers; the oldest is dropped. Default 10 000. */
  readonly maxEntries?: number
}

/**
 * Answers a repeated call with the first one's answer. Blank key: INVALID_ARGUMENT `MISSING_IDEMPOTENCY_KEY`; a first call
 * that takes too long: UNAVAILABLE `IDEMPOTENCY_IN_PROGRESS`. The caller must use one answer type per `rpc`.
 */
export class IdempotencyCache {
  readonly #entries = new Map<string, { readonly answer: Promise<unknown>; readonly expiresAt: number }>()
  readonly #clock: Clock
  readonly #waitMs: number
  readonly #maxEntries: number

  constructor(options: IdempotencyOptions) {
    this.#clock = options.clock
    this.#waitMs = options.waitMs ?? 5000
    this.#maxEntries = options.maxEntries ?? 10_000
  }

  /** Number of remembered calls. */
  get size(): number {
    return this.#entries.size
  }

  async once<T>(call: IdempotentCall<T>): Promise<T> {
    if (call.key.trim() === '') throw new PlatformError('INVALID_ARGUMENT', 'MISSING_IDEMPOTENCY_KEY')
    if (call.key.length > 512) throw new PlatformError('INVALID_ARGUMENT', 'INVALID_IDEMPOTENCY_KEY')
    const id = `${call.rpc}:${call.key}`
    const known = this.#entries.get(id)
    // The map holds many answer types; `rpc` is part of the id, so the entry has this call's type.
    if (known && known.expiresAt > this.#clock.now()) return this.#wait(known.answer as Promise<T>)
    const answer = Promise.resolve().then(call.run)
    const entry = { answer, expiresAt: this.#clock.now() + call.ttlMs }
    this.#remember(id, entry)
    const forget = (): void => {
      if (this.#entries.get(id) === entry) this.#entries.delete(id)
    }
    try {
      const value = await answer
      if (call.isKept?.(value) === false) forget()
      return value
    } catch (error) {
      forget()
      throw error
    }
  }

  #remember(id: string, entry: { readonly answer: Promise<unknown>; readonly expiresAt: number }): void {
    this.#entries.delete(id)
    this.#entries.set(id, entry)
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#maxEntries) return
      this.#entries.delete(oldest)
    }
  }

  #wait<T>(answer: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const cancel = this.#clock.after(this.#waitMs, () =>
        reject(new PlatformError('UNAVAILABLE', 'IDEMPOTENCY_IN_PROGRESS')),
      )
      answer.then(resolve, reject).finally(cancel)
    })
  }
}
