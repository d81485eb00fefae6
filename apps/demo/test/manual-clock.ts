import type { Clock } from '../src/clock.ts'

/** A clock that stands still until `advance` moves it and runs what is due, in order. */
export class ManualClock implements Clock {
  #now = Date.UTC(2026, 10, 23, 12)
  #timers: { readonly at: number; readonly task: () => void }[] = []

  now = (): number => this.#now

  after = (delayMs: number, task: () => void): (() => void) => {
    const timer = { at: this.#now + delayMs, task }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  advance(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      const [next] = this.#timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)
      if (!next) break
      this.#timers = this.#timers.filter((timer) => timer !== next)
      this.#now = next.at
      next.task()
    }
    this.#now = end
  }
}
