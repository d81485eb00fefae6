import type {
  ConnectionStore,
  ConnectionStoreListener,
  LocatedConnection,
  StoredConnection,
} from './connection-store.ts'
import { ConnectionsError } from './connections-error.ts'
import { OwnConnections } from './own-connections.ts'

/** The store of a single instance: nothing leaves the process, nobody else is there to be reaped. */
export class MemoryConnectionStore implements ConnectionStore {
  readonly instanceId: string
  readonly instanceCount = 1
  readonly #own = new OwnConnections()
  #closed = false

  constructor(options: { readonly instanceId: string }) {
    this.instanceId = options.instanceId
  }

  async save(connection: StoredConnection): Promise<void> {
    this.#open().save(connection)
  }

  async delete(connectionId: string): Promise<boolean> {
    return this.#open().delete(connectionId) !== undefined
  }

  async addChannel(connectionId: string, channel: string): Promise<boolean> {
    return this.#open().addChannel(connectionId, channel)
  }

  async removeChannel(connectionId: string, channel: string): Promise<boolean> {
    return this.#open().removeChannel(connectionId, channel)
  }

  async get(connectionId: string): Promise<LocatedConnection | undefined> {
    const own = this.#open().get(connectionId)
    return own && this.#locate(own.connection)
  }

  async getMany(connectionIds: readonly string[]): Promise<readonly LocatedConnection[]> {
    const all = connectionIds.map((connectionId) => this.#open().get(connectionId))
    return all.flatMap((own) => (own ? [this.#locate(own.connection)] : []))
  }

  async getByUser(userId: string): Promise<readonly LocatedConnection[]> {
    return this.#open()
      .byUser(userId)
      .map((connection) => this.#locate(connection))
  }

  async getByChannel(channel: string): Promise<readonly LocatedConnection[]> {
    return this.#open()
      .byChannel(channel)
      .map((connection) => this.#locate(connection))
  }

  async liveInstances(): Promise<readonly string[]> {
    this.#open()
    return [this.instanceId]
  }

  listen(_listener: ConnectionStoreListener): () => void {
    return () => {}
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#own.clear()
  }

  #open(): OwnConnections {
    if (this.#closed) throw new ConnectionsError('closed', 'The connection store is closed')
    return this.#own
  }

  #locate(connection: StoredConnection): LocatedConnection {
    return { ...connection, instanceId: this.instanceId }
  }
}
