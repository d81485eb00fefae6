import type { StoredConnection } from './connection-store.ts'

/** A connection of this instance with its channels. */
export interface OwnConnection {
  readonly connection: StoredConnection
  readonly channels: ReadonlySet<string>
}

interface Entry {
  connection: StoredConnection
  /** None: most are on no channel. */
  channels: Set<string> | undefined
}

const noChannels: ReadonlySet<string> = new Set()

/** The connections of this instance, found by id, user and channel in O(1). */
export class OwnConnections {
  readonly #byId = new Map<string, Entry>()
  readonly #byUser = new Map<string, Set<Entry>>()
  readonly #byChannel = new Map<string, Set<Entry>>()
  #places = 0

  get size(): number {
    return this.#byId.size
  }

  /** Pairs of a connection and a channel. */
  get places(): number {
    return this.#places
  }

  get(connectionId: string): OwnConnection | undefined {
    const entry = this.#byId.get(connectionId)
    return entry && view(entry)
  }

  *all(): Iterable<OwnConnection> {
    for (const entry of this.#byId.values()) yield view(entry)
  }

  byUser(userId: string): readonly StoredConnection[] {
    return [...(this.#byUser.get(userId) ?? [])].map(({ connection }) => connection)
  }

  byChannel(channel: string): readonly StoredConnection[] {
    return [...(this.#byChannel.get(channel) ?? [])].map(({ connection }) => connection)
  }

  /** Returns what was replaced. */
  save(connection: StoredConnection): OwnConnection | undefined {
    const entry = this.#byId.get(connection.connectionId)
    if (entry === undefined) {
      const added = { connection, channels: undefined }
      this.#byId.set(connection.connectionId, added)
      add(this.#byUser, connection.userId, added)
      return undefined
    }
    const replaced = view(entry)
    remove(this.#byUser, entry.connection.userId, entry)
    entry.connection = connection
    add(this.#byUser, connection.userId, entry)
    return replaced
  }

  /** Returns what was deleted, with the channels it had. */
  delete(connectionId: string): OwnConnection | undefined {
    const entry = this.#byId.get(connectionId)
    if (entry === undefined) return undefined
    this.#byId.delete(connectionId)
    remove(this.#byUser, entry.connection.userId, entry)
    const deleted = view(entry)
    for (const channel of deleted.channels) remove(this.#byChannel, channel, entry)
    this.#places -= deleted.channels.size
    return deleted
  }

  /** False when there is no such connection. */
  addChannel(connectionId: string, channel: string): boolean {
    const entry = this.#byId.get(connectionId)
    if (entry === undefined) return false
    entry.channels ??= new Set()
    if (!entry.channels.has(channel)) this.#places++
    entry.channels.add(channel)
    add(this.#byChannel, channel, entry)
    return true
  }

  /** False when the connection didn't have it. */
  removeChannel(connectionId: string, channel: string): boolean {
    const entry = this.#byId.get(connectionId)
    if (entry === undefined || !entry.channels?.delete(channel)) return false
    this.#places--
    remove(this.#byChannel, channel, entry)
    return true
  }

  clear(): void {
    this.#byId.clear()
    this.#byUser.clear()
    this.#byChannel.clear()
    this.#places = 0
  }
}

function view({ connection, channels }: Entry): OwnConnection {
  return { connection, channels: channels ?? noChannels }
}

function add(index: Map<string, Set<Entry>>, key: string, entry: Entry): void {
  const entries = index.get(key)
  if (entries === undefined) index.set(key, new Set([entry]))
  else entries.add(entry)
}

function remove(index: Map<string, Set<Entry>>, key: string, entry: Entry): void {
  const entries = index.get(key)
  entries?.delete(entry)
  if (entries?.size === 0) index.delete(key)
}
