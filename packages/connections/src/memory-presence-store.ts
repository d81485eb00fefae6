import { checkNumbers, maxTimerMs } from './check-numbers.ts'
import type {
  PresenceChange,
  PresenceResult,
  PresenceStatus,
  PresenceStore,
  PresenceStoreOptions,
  PresenceUpdate,
} from './presence-store.ts'

export interface MemoryPresenceStoreOptions extends PresenceStoreOptions {
  /** ms since 1970. Default `Date.now`. */
  readonly now?: () => number
}

interface User {
  status: PresenceStatus
  atMs: number
  offlineAtMs: number | undefined
  readonly connections: Map<string, 'online' | 'away'>
}

/** Presence of a single instance. Users who are offline cost nothing. Throws `invalid` for a grace that no timer can wait. */
export class MemoryPresenceStore implements PresenceStore {
  readonly #users = new Map<string, User>()
  readonly #graceMs: number
  readonly #now: () => number
  // Times of changes grow also for a user who was forgotten meanwhile.
  #forgottenAtMs = 0

  constructor({ graceMs = 10_000, now = Date.now }: MemoryPresenceStoreOptions = {}) {
    checkNumbers({ graceMs }, { least: 0, most: maxTimerMs - 1 })
    this.#graceMs = graceMs
    this.#now = now
  }

  /** Users who are not offline. */
  get size(): number {
    return this.#users.size
  }

  async update({ userId, connectionId, status, known = 'offline' }: PresenceUpdate): Promise<PresenceResult> {
    const user = this.#users.get(userId) ?? {
      status: known,
      atMs: this.#forgottenAtMs,
      offlineAtMs: undefined,
      connections: new Map(),
    }
    if (status === 'offline') user.connections.delete(connectionId)
    else user.connections.set(connectionId, status)
    const derived = derive(user.connections.values())
    if (derived === 'offline') return this.#leave(userId, user)
    this.#users.set(userId, user)
    user.offlineAtMs = undefined
    if (derived === user.status) return { status: derived }
    return { status: derived, change: this.#change(userId, user, derived) }
  }

  async settle(userId: string): Promise<PresenceResult> {
    const user = this.#users.get(userId)
    if (user?.offlineAtMs === undefined) return { status: user?.status ?? 'offline' }
    const leftMs = user.offlineAtMs - this.#now()
    if (leftMs > 0) return { status: user.status, settleAfterMs: leftMs }
    this.#users.delete(userId)
    const change = this.#change(userId, user, 'offline')
    this.#forgottenAtMs = Math.max(this.#forgottenAtMs, change.atMs)
    return { status: 'offline', change }
  }

  // Nobody can die between the grace's beginning and its end but with this memory.
  async overdue(): Promise<readonly string[]> {
    return []
  }

  async getStatus(userIds: readonly string[]): Promise<ReadonlyMap<string, PresenceStatus>> {
    return new Map(userIds.map((userId) => [userId, this.#users.get(userId)?.status ?? 'offline']))
  }

  async #leave(userId: string, user: User): Promise<PresenceResult> {
    if (user.status === 'offline') return { status: 'offline' }
    this.#users.set(userId, user)
    user.offlineAtMs ??= this.#now() + this.#graceMs
    return this.settle(userId)
  }

  #change(userId: string, user: User, status: PresenceStatus): PresenceChange {
    const previous = user.status
    user.status = status
    user.atMs = Math.max(this.#now(), user.atMs + 1)
    return { userId, status, previous, atMs: user.atMs }
  }
}

/** Of what connections contribute. */
function derive(contributions: Iterable<'online' | 'away'>): PresenceStatus {
  let status: PresenceStatus = 'offline'
  for (const contribution of contributions) {
    if (contribution === 'online') return 'online'
    status = 'away'
  }
  return status
}
