/** Who is where over all instances: kept in Redis, or in memory for one instance. Wires `@gw/connections` to the channels. */
import {
  type ConnectionStore,
  createSessions,
  type LocatedConnection,
  MemoryConnectionStore,
  MemoryPresenceStore,
  type PresenceChange,
  type Sessions,
} from '@gw/connections'
import { RedisConnectionStore, RedisPresenceStore } from '@gw/connections/redis'
import { type PresenceChanged, presenceChannel } from '@gw/protocol'
import type { Broker } from '@gw/pubsub'
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
  /** Gives the lease back: call it when the connections are closed. */
  close(): Promise<void>
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
  return {
    connections,
    sessions,
    async close() {
      await sessions.flush()
      await sessions.stop()
      await connections.close()
    },
  }
}
