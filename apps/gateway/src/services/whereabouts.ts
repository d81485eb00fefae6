/** Who is where over all instances: kept in Redis, or in memory for one instance. Wires `@gw/connections` to the channels. */
import {
  type ConnectionStore,
  createSessions,
  type LocatedConnection,
  MemoryConnectionStore,
  MemoryPresenceStore,
  type PresenceChange,
  type Sessions,
  type StoredConnection,
} from '@gw/connections'
import { RedisConnectionStore, RedisPresenceStore } from '@gw/connections/redis'
import { type PresenceChanged, presenceChannel, tableChannel } from '@gw/protocol'
import type { Broker } from '@gw/pubsub'
import { z } from 'zod'
import { GatewayError } from '../errors.ts'
import type { RedisClients } from '../redis.ts'

export interface WhereaboutsOptions {
  readonly redis: RedisClients | undefined
  readonly prefix: string
  readonly instanceId: string
  readonly broker: Pick<Broker, 'publish'>
  /** Connections of an instance that died; each comes to one living instance. */
  readonly onReaped: (connections: readonly LocatedConnection[]) => void
  readonly onError: (operation: string, error: unknown) => void
}

export interface Whereabouts {
  readonly connections: ConnectionStore
  readonly sessions: Sessions
  open(connection: StoredConnection): void
  close(connectionId: string): void
  /** Tells all instances that a socket watches a table, or no longer does, also when it is closed. Rejects with `unavailable`. */
  watch(connectionId: string, tableId: string, watches: boolean): Promise<void>
  /** Whether a socket of the user watches the table, on any instance, but for the one named. Rejects with `unavailable`. */
  isWatching(userId: string, tableId: string, except: string): Promise<boolean>
  /** Gives the lease back: call it when the connections are closed. */
  stop(): Promise<void>
}

/** Remembered for a connection; a socket that watches more loses the rest when its instance dies. */
const maxTables = 32
const tableIds = z.array(z.string())

/** The tables that a connection watched, also one of an instance that died. */
export function tablesOf({ metadata }: Pick<StoredConnection, 'metadata'>): string[] {
  return tableIds.parse(JSON.parse(metadata?.['tables'] ?? '[]'))
}

/** The store's refusal as the gateway's own. */
async function ofStore<T>(call: Promise<T>): Promise<T> {
  try {
    return await call
  } catch (error) {
    const isAway = error instanceof Error && 'code' in error && error.code === 'unavailable'
    throw isAway ? new GatewayError('unavailable', undefined, { cause: error }) : error
  }
}

function changeMessage({ userId, status, atMs }: PresenceChange): PresenceChanged {
  return { type: 'PresenceChanged', userId, status, at: new Date(atMs).toISOString() }
}

export function createWhereabouts(options: WhereaboutsOptions): Whereabouts {
  const { redis, prefix, instanceId, broker, onError } = options
  const connections = redis
    ? new RedisConnectionStore({
        redis: redis.commands,
        instanceId,
        prefix: `${prefix}:conn`,
        onEvent(event) {
          if (event.type === 'unavailable') onError('store', event.error)
          else if (event.type === 'error') onError(event.stage, event.error)
        },
      })
    : new MemoryConnectionStore({ instanceId })
  const presence = redis
    ? new RedisPresenceStore({ redis: redis.commands, prefix: `${prefix}:presence` })
    : new MemoryPresenceStore()
  const sessions = createSessions({
    connections,
    presence,
    async onChange(change) {
      await broker.publish(presenceChannel(change.userId), JSON.stringify(changeMessage(change)), {
        idempotencyKey: `${change.status}:${change.atMs}`,
      })
    },
    onReaped: options.onReaped,
    onEvent: ({ operation, error }) => onError(operation, error),
  })
  /** This instance's own, as last saved. */
  const own = new Map<string, StoredConnection>()

  return {
    connections,
    sessions,
    open(connection) {
      own.set(connection.connectionId, connection)
      sessions.open(connection)
    },
    close(connectionId) {
      own.delete(connectionId)
      sessions.close(connectionId)
    },
    async watch(connectionId, tableId, watches) {
      const channel = tableChannel(tableId)
      const connection = own.get(connectionId)
      if (!connection) {
        // Closed. Its record stays until presence has heard of it, for who would reap it; its place goes now: of two sockets
        // that close together the later one must not find the other.
        if (!watches) await ofStore(connections.removeChannel(connectionId, channel))
        return
      }
      const tables = tablesOf(connection).filter((known) => known !== tableId)
      if (watches && tables.length < maxTables) tables.push(tableId)
      const saved = { ...connection, metadata: { ...connection.metadata, tables: JSON.stringify(tables) } }
      own.set(connectionId, saved)
      await ofStore(
        Promise.all([
          connections.save(saved),
          watches
            ? connections.addChannel(connectionId, channel)
            : connections.removeChannel(connectionId, channel),
        ]),
      )
    },
    async isWatching(userId, tableId, except) {
      const watchers = await ofStore(connections.getByChannel(tableChannel(tableId)))
      return watchers.some((watcher) => watcher.userId === userId && watcher.connectionId !== except)
    },
    async stop() {
      await sessions.flush()
      await sessions.stop()
      await connections.close()
    },
  }
}
