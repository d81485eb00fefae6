import type { Connection } from './connection.ts'
import { checkNumbers } from './check-numbers.ts'
import { ConnectionsError } from './connections-error.ts'
import type { Frame } from './frame.ts'
import type { SendOptions } from './outbound-queue.ts'

export interface ConnectionRegistryOptions {
  /** Connections in all. Default no bound of its own. */
  readonly max?: number
  /** Connections of one user. Default no bound. */
  readonly maxPerUser?: number
  /** Connections from one `remoteAddress`. Default no bound. */
  readonly maxPerAddress?: number
}

/** Which cap was reached. */
export type RegisterRefusal = 'too_many' | 'too_many_of_user' | 'too_many_of_address'

/** Whether a connection was let in. */
export type RegisterResult = { readonly ok: true } | { readonly ok: false; readonly code: RegisterRefusal }

/** The identified connections of this instance. Every operation is O(1), or O(receivers). */
export interface ConnectionRegistry {
  readonly size: number
  /** Users with a connection. */
  readonly userCount: number
  /** The connection must have its identity. Registering twice changes nothing. */
  register(connection: Connection): RegisterResult
  /** False when it wasn't registered. */
  unregister(id: string): boolean
  getConnection(id: string): Connection | undefined
  getByUser(userId: string): readonly Connection[]
  all(): Iterable<Connection>
  /** One frame to the named connections, or to all. Returns how many took it. */
  broadcast(frame: Frame, to: Iterable<string> | 'all', options?: SendOptions): number
}

/**
 * Who is here. Caps are checked when a connection registers; counts go down with `unregister`. Throws `invalid` for caps
 * that are no numbers of at least 0.
 */
export function createConnectionRegistry(options: ConnectionRegistryOptions = {}): ConnectionRegistry {
  const { max = Infinity, maxPerUser = Infinity, maxPerAddress = Infinity } = options
  checkNumbers({ max, maxPerUser, maxPerAddress }, { least: 0 })
  const byId = new Map<string, Connection>()
  const byUser = new Map<string, Set<Connection>>()
  const perAddress = new Map<string, number>()

  const countAddress = (address: string | undefined, change: 1 | -1): void => {
    if (address === undefined) return
    const count = (perAddress.get(address) ?? 0) + change
    if (count === 0) perAddress.delete(address)
    else perAddress.set(address, count)
  }

  const takes = (connection: Connection, frame: Frame, sendOptions: SendOptions | undefined): boolean => {
    const result = connection.send(frame, sendOptions)
    return result !== 'closed' && result !== 'dropped'
  }

  return {
    get size() {
      return byId.size
    },
    get userCount() {
      return byUser.size
    },
    register(connection) {
      const { id, identity, remoteAddress } = connection
      if (identity === undefined)
        throw new ConnectionsError('invalid', 'A connection without an identity cannot be registered')
      if (byId.get(id) === connection) return { ok: true }
      if (byId.has(id)) throw new ConnectionsError('invalid', 'Two connections have the same id')
      if (byId.size >= max) return { ok: false, code: 'too_many' }
      const own = byUser.get(identity.userId) ?? new Set()
      if (own.size >= maxPerUser) return { ok: false, code: 'too_many_of_user' }
      if (remoteAddress !== undefined && (perAddress.get(remoteAddress) ?? 0) >= maxPerAddress)
        return { ok: false, code: 'too_many_of_address' }
      byId.set(id, connection)
      byUser.set(identity.userId, own.add(connection))
      countAddress(remoteAddress, 1)
      return { ok: true }
    },
    unregister(id) {
      const connection = byId.get(id)
      if (connection === undefined) return false
      byId.delete(id)
      const userId = connection.identity?.userId ?? ''
      const own = byUser.get(userId)
      own?.delete(connection)
      if (own?.size === 0) byUser.delete(userId)
      countAddress(connection.remoteAddress, -1)
      return true
    },
    getConnection: (id) => byId.get(id),
    getByUser: (userId) => [...(byUser.get(userId) ?? [])],
    all: () => byId.values(),
    broadcast(frame, to, sendOptions) {
      let taken = 0
      if (to === 'all') {
        for (const connection of byId.values()) if (takes(connection, frame, sendOptions)) taken++
        return taken
      }
      for (const id of to) {
        const connection = byId.get(id)
        if (connection !== undefined && takes(connection, frame, sendOptions)) taken++
      }
      return taken
    },
  }
}
