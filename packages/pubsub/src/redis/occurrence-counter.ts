interface Count {
  readonly count: number
  readonly heardAtMs: number
}

const forgetAfterMs = 30_000
const maxContents = 50_000

/**
 * How often each content was heard lately. A content that comes a second time is a second message; the same message
 * heard by another instance is not. Counting tells them apart, and what the log has counted corrects us.
 */
export class OccurrenceCounter {
  /** The one heard longest ago first. */
  readonly #counts = new Map<string, Count>()

  get size(): number {
    return this.#counts.size
  }

  /** The number of this hearing. */
  hear(content: string, nowMs: number = performance.now()): number {
    this.#forget(nowMs)
    const count = (this.#counts.get(content)?.count ?? 0) + 1
    this.#counts.delete(content)
    this.#counts.set(content, { count, heardAtMs: nowMs })
    return count
  }

  /** The log has taken so many: we missed some, or came later than the others. */
  learn(content: string, count: number): void {
    const known = this.#counts.get(content)
    if (known !== undefined && known.count < count) this.#counts.set(content, { ...known, count })
  }

  #forget(nowMs: number): void {
    for (const [content, { heardAtMs }] of this.#counts) {
      if (nowMs - heardAtMs < forgetAfterMs && this.#counts.size <= maxContents) return
      this.#counts.delete(content)
    }
  }
}
