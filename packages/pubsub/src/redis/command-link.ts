import type { BrokerEvent } from '../broker.ts'
import type { RedisClient, RedisCommands } from './redis-client.ts'
import { connectionSettings } from './connection-settings.ts'

/** The connection that carries commands. */
export interface CommandLink {
  readonly connection: RedisCommands
  /** Replaces a connection that seems alive and answers nothing: on a Cluster the shard's, which is named `host:port`. */
  rebuild(shard: string): void
  close(): void
}

/**
 * A connection of our own on one node: the caller's may hold commands back while Redis is away and carry them out after
 * their deadline, or send them twice. A Cluster finds its nodes by itself and is used as it is.
 */
export function openCommands(
  client: RedisClient,
  onEvent: (event: BrokerEvent) => void,
  onReady: () => void,
): CommandLink {
  if ('nodes' in client) {
    client.on('ready', onReady)
    return {
      connection: client,
      rebuild(shard) {
        // The client drops a node that was disconnected, and connects again when a slot of it is asked for.
        for (const node of client.nodes('all'))
          if (`${node.options.host}:${node.options.port}` === shard) node.disconnect(true)
        client.refreshSlotsCache(() => {})
      },
      close: () => void client.off('ready', onReady),
    }
  }
  const open = (): ReturnType<typeof client.duplicate> => {
    const made = client.duplicate(connectionSettings)
    made.on('ready', onReady)
    made.on('error', (error) => onEvent({ type: 'error', stage: 'link', error }))
    return made
  }
  let connection = open()
  return {
    get connection() {
      return connection
    },
    rebuild() {
      // A new one would wait no less for a server that is away.
      if (connection.status === 'reconnecting') return
      const old = connection
      connection = open()
      old.disconnect()
    },
    close: () => connection.disconnect(),
  }
}
