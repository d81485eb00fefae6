import type { Connection } from './connection.ts'
import type { Frame } from './frame.ts'
import type { SendOptions } from './outbound-queue.ts'

export interface ConnectionRegistryOptions {
  /** Connections in all. Default no bound of its own. */
  readonly max?: number
  /** Connections of one user. Default no bound. */
  readonly maxPerUser?: number
}

/** Whether a connection was let in. */
export type RegisterResult =
  | { readonly ok: true }
  | { readonly ok: false; readonly code: 'too_many' | 'too_many_of_user' }

/** The identified connections of this instance. Every operation is O(1), or O(receivers). */
export interface ConnectionRegistry {
  readonly size: number
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

export function createConnectionRegistry({
  max = Infinity,
  maxPerUser = Infinity,
}: ConnectionRegistryOptions = {}): ConnectionRegistry {
  const byId = new Map<string, Connection>()
  const byUser = new Map<string, Set<Connection>>()

  const isTaken = (connection: Connection, frame: Frame, options: SendOptions | undefined): boolean => {
    const result = connection.send(frame, options)
    return result !== 'closed' && result !== 'dropped'
  }

  return {
    get size() {
      return byId.size
    },
    register(connection) {
      const { id, identity } = connection
      if (identity === undefined) throw new TypeError('A connection without an identity cannot be registered')
      if (byId.has(id)) return { ok: true }
      if (byId.size >= max) return { ok: false, code: 'too_many' }
      const own = byUser.get(identity.userId) ?? new Set()
      if (own.size >= maxPerUser) return { ok: false, code: 'too_many_of_user' }
      byId.set(id, connection)
      byUser.set(identity.userId, own.add(connection))
      return { ok: true }
    },
    unregister(id) {
      const connection = byId.get(id)
      if (!connection) return false
      byId.delete(id)
      const userId = connection.identity?.userId ?? ''
      const own = byUser.get(userId)
      own?.delete(connection)
      if (own?.size === 0) byUser.delete(userId)
      return true
    },
    getConnection: (id) => byId.get(id),
    getByUser: (userId) => [...(byUser.get(userId) ?? [])],
    all: () => byId.values(),
    broadcast(frame, to, options) {
      let taken = 0
      if (to === 'all') {
        for (const connection of byId.values()) if (isTaken(connection, frame, options)) taken++
        return taken
      }
      for (const id of to) {
        const connection = byId.get(id)
        if (connection && isTaken(connection, frame, options)) taken++
      }
      return taken
    },
  }
}
