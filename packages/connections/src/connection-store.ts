/** What all instances may know of a connection. */
export interface StoredConnection {
  readonly connectionId: string
  readonly userId: string
  /** ms since 1970. */
  readonly connectedAtMs: number
  /** Whatever the owner wants to find again; a few short strings. */
  readonly metadata?: Readonly<Record<string, string>>
}

/** A connection and the instance that has it. */
export interface LocatedConnection extends StoredConnection {
  readonly instanceId: string
}

/** Connections of an instance that died, in portions. */
export interface ReapedConnections {
  readonly instanceId: string
  readonly connections: readonly LocatedConnection[]
}

/** Both may be called at any time between the first command and `close()`. */
export interface ConnectionStoreListener {
  /**
   * Another instance died and this one cleans up behind it. Each connection comes once, on one instance; again only when
   * this promise rejects, takes longer than the lease, or this instance dies too: make effects idempotent by id.
   */
  onReaped?(reaped: ReapedConnections): void | Promise<void>
  /** What the store had lost of this instance is back (Redis restarted empty, or others took this instance for dead). */
  onRebuilt?(): void
}

/**
 * Who is where, over all instances. Own connections are also kept in memory: when the backend has lost them they are
 * written again, also those whose call was rejected with `unavailable`. All methods reject with `ConnectionsError`.
 */
export interface ConnectionStore {
  readonly instanceId: string
  /** Live instances as last seen, this one included: at least 1, for dividing limits. */
  readonly instanceCount: number
  /** Resolves when every instance can find it. Saving again replaces it and keeps its channels. */
  save(connection: StoredConnection): Promise<void>
  /** Only a connection of this instance is deleted: false for any other. */
  delete(connectionId: string): Promise<boolean>
  /** Marks a saved connection of this instance as a subscriber; false when there is no such connection. */
  addChannel(connectionId: string, channel: string): Promise<boolean>
  removeChannel(connectionId: string, channel: string): Promise<boolean>
  get(connectionId: string): Promise<LocatedConnection | undefined>
  /** Those that there are, in any order. */
  getMany(connectionIds: readonly string[]): Promise<readonly LocatedConnection[]>
  getByUser(userId: string): Promise<readonly LocatedConnection[]>
  getByChannel(channel: string): Promise<readonly LocatedConnection[]>
  liveInstances(): Promise<readonly string[]>
  /** Returns the way to stop listening. */
  listen(listener: ConnectionStoreListener): () => void
  /** Gives the lease back, with everything of this instance: call it when its connections are closed. Idempotent. */
  close(): Promise<void>
}
