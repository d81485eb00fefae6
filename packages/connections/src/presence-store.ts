/** Derived from a user's connections everywhere: one that isn't away makes the user online. */
export type PresenceStatus = 'online' | 'away' | 'offline'

/** A user's status changed. Exactly one instance is told, the one that caused or noticed it. */
export interface PresenceChange {
  readonly userId: string
  readonly status: PresenceStatus
  readonly previous: PresenceStatus
  /** ms since 1970 by the store's clock. Grows with every change of a user: the order of changes. */
  readonly atMs: number
}

/** What a connection contributes to its user's status. */
export interface PresenceUpdate {
  readonly userId: string
  readonly connectionId: string
  /** `offline`: the connection is gone. */
  readonly status: PresenceStatus
  /** What the caller last knew of the user: counts when the store has lost it. Default `offline`. */
  readonly known?: PresenceStatus
  /** The same for a repetition after a lost answer, which then returns the change again. */
  readonly id?: string
}

/** The outcome of an update. */
export interface PresenceResult {
  readonly status: PresenceStatus
  readonly change?: PresenceChange
  /** The last connection is gone: `settle` the user after so many ms; until then the old status holds. */
  readonly settleAfterMs?: number
}

/** Presence of all users. All methods reject with `ConnectionsError`. */
export interface PresenceStore {
  /** Idempotent: the same update again changes nothing. */
  update(update: PresenceUpdate): Promise<PresenceResult>
  /**
   * Makes a user without connections offline when the grace is over; says how long to wait when it is not. With
   * `isOverdue`, for users from `overdue()`, a change whose answer got lost is returned again.
   */
  settle(userId: string, isOverdue?: boolean): Promise<PresenceResult>
  /** Some users whose grace is over and whom nobody settled, because an instance died meanwhile. */
  overdue(): Promise<readonly string[]>
  /** Unknown users are offline. */
  getStatus(userIds: readonly string[]): Promise<ReadonlyMap<string, PresenceStatus>>
}

export interface PresenceStoreOptions {
  /** Time to come back before a user is offline, in ms. Default 10 000. */
  readonly graceMs?: number
}
