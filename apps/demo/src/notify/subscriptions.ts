/** A browser's push subscription. */
export interface Subscription {
  readonly endpoint: string
  readonly keys: { readonly p256dh: string; readonly auth: string }
}

const maxPerUser = 20
const maxUsers = 100_000

/** Push subscriptions by user: the newest 20 of each, one per endpoint. */
export class Subscriptions {
  readonly #byUser = new Map<string, Map<string, Subscription>>()

  list(userId: string): Subscription[] {
    return [...(this.#byUser.get(userId)?.values() ?? [])]
  }

  /** False when there are too many users. */
  add(userId: string, subscription: Subscription): boolean {
    const known = this.#byUser.get(userId)
    if (!known && this.#byUser.size >= maxUsers) return false
    const subscriptions = known ?? new Map<string, Subscription>()
    subscriptions.delete(subscription.endpoint)
    subscriptions.set(subscription.endpoint, subscription)
    const [oldest] = subscriptions.keys()
    if (oldest !== undefined && subscriptions.size > maxPerUser) subscriptions.delete(oldest)
    this.#byUser.set(userId, subscriptions)
    return true
  }

  /** Removing an unknown one is fine. */
  remove(userId: string, endpoint: string): void {
    const subscriptions = this.#byUser.get(userId)
    subscriptions?.delete(endpoint)
    if (subscriptions?.size === 0) this.#byUser.delete(userId)
  }
}
