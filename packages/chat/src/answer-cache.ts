interface Answer<T> {
  readonly value: Promise<T>
  untilMs: number
}

export interface AnswerCacheOptions<T> {
  /** How long an answer is good. */
  readonly ttlMs: number
  /** Answers kept; the oldest goes first. */
  readonly maxEntries: number
  /** Unix time in ms. */
  readonly now: () => number
  /** Whether an answer is kept once it is there; another only serves those who wait for it. Default: all are. */
  readonly keeps?: (value: T) => boolean
}

/**
 * Remembers answers for a moment and asks once for many who ask at the same time. A failure is not remembered. An answer
 * that was being fetched when it was invalidated reaches those who wait for it, and nobody after them.
 */
export class AnswerCache<T> {
  readonly #answers = new Map<string, Answer<T>>()
  readonly #options: AnswerCacheOptions<T>

  constructor(options: AnswerCacheOptions<T>) {
    this.#options = options
  }

  get(key: string, ask: () => Promise<T>): Promise<T> {
    const { now, ttlMs, maxEntries, keeps } = this.#options
    const known = this.#answers.get(key)
    if (known && known.untilMs > now()) return known.value
    const answer: Answer<T> = { value: ask(), untilMs: Number.POSITIVE_INFINITY }
    this.#answers.delete(key)
    this.#answers.set(key, answer)
    const drop = (): void => {
      if (this.#answers.get(key) === answer) this.#answers.delete(key)
    }
    answer.value.then((value) => {
      if (keeps?.(value) === false) drop()
      else answer.untilMs = now() + ttlMs
    }, drop)
    for (const oldest of this.#answers.keys()) {
      if (this.#answers.size <= maxEntries) break
      this.#answers.delete(oldest)
    }
    return answer.value
  }

  /** Forgets every answer whose key passes. */
  invalidate(matches: (key: string) => boolean): void {
    for (const key of this.#answers.keys()) if (matches(key)) this.#answers.delete(key)
  }
}
