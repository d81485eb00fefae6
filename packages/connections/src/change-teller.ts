import type { PresenceChange, PresenceStore } from './presence-store.ts'

export interface ChangeTellerOptions {
  readonly presence: Pick<PresenceStore, 'getStatus'>
  readonly onChange: (change: PresenceChange) => Promise<void>
  readonly onError: (error: unknown) => void
}

const atOnce = 100
/** Changes that wait to be told again: beyond, the oldest is given up. */
const mostUntold = 100_000

/** Tells changes, and again those that could not be told: the newest of each user, while the user's status is still it. */
export class ChangeTeller {
  readonly #options: ChangeTellerOptions
  readonly #untold = new Map<string, PresenceChange>()

  constructor(options: ChangeTellerOptions) {
    this.#options = options
  }

  /** Something about the user waits to be told again. */
  isUntold(userId: string): boolean {
    return this.#untold.has(userId)
  }

  /** Never rejects. */
  async tell(change: PresenceChange): Promise<void> {
    const [error] = await this.#tellAll([change])
    if (error !== undefined) this.#options.onError(error.cause)
  }

  /** Some at a time, until one fails: where it goes to is still away. Rejects with `unavailable`. */
  async tellAgain(): Promise<void> {
    const all = [...this.#untold.values()]
    for (let at = 0; at < all.length; at += atOnce) {
      const some = all.slice(at, at + atOnce)
      const statuses = await this.#options.presence.getStatus(some.map(({ userId }) => userId))
      const current = some.filter((change) => this.#untold.get(change.userId) === change)
      for (const { userId, status } of current)
        // Another change came after it, and whoever made that one tells it.
        if (statuses.get(userId) !== status) this.#untold.delete(userId)
      const [error] = await this.#tellAll(current.filter(({ userId }) => this.#untold.has(userId)))
      if (error !== undefined) return this.#options.onError(error.cause)
    }
  }

  async #tellAll(changes: readonly PresenceChange[]): Promise<readonly { readonly cause: unknown }[]> {
    const failures = await Promise.all(
      changes.map(async (change) => {
        const { userId, atMs } = change
        this.#untold.delete(userId)
        try {
          await this.#options.onChange(change)
          return []
        } catch (cause) {
          // Behind the others: one that never works holds nobody up.
          if (!((this.#untold.get(userId)?.atMs ?? 0) > atMs)) this.#untold.set(userId, change)
          const [oldest] = this.#untold.keys()
          if (this.#untold.size > mostUntold && oldest !== undefined) this.#untold.delete(oldest)
          return [{ cause }]
        }
      }),
    )
    return failures.flat()
  }
}
