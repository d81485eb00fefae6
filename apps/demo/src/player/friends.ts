import { PlatformError } from '../platform-error.ts'

const maxFriends = 1000

/** Who counts whom as a friend; one-sided, in the order of adding. */
export class Friends {
  readonly #friends = new Map<string, Set<string>>()

  list(userId: string): string[] {
    return [...(this.#friends.get(userId) ?? [])]
  }

  /** Adding twice is fine. INVALID_ARGUMENT for oneself; RESOURCE_EXHAUSTED above 1000. */
  add(userId: string, friendId: string): void {
    if (userId === friendId) throw new PlatformError('INVALID_ARGUMENT', 'Cannot add yourself as a friend')
    const friends = this.#friends.get(userId) ?? new Set()
    if (friends.size >= maxFriends) throw new PlatformError('RESOURCE_EXHAUSTED', 'Too many friends')
    this.#friends.set(userId, friends.add(friendId))
  }

  /** Removing somebody who is no friend is fine. */
  remove(userId: string, friendId: string): void {
    const friends = this.#friends.get(userId)
    friends?.delete(friendId)
    if (friends?.size === 0) this.#friends.delete(userId)
  }
}
