import { once } from 'node:events'
import { Redis } from 'ioredis'
import { type CallOrigin, currentOrigin } from '../call-origin.ts'
import { createOutbox, type OutboxFailure } from './outbox.ts'
import type { Update, UpdatePublisher } from './update.ts'

const ingestChannel = 'gateway:ws:events'

export interface RedisPublisherOptions {
  readonly url: string
  readonly onFailure: (failure: OutboxFailure) => void
}

/**
 * Publishes the platform's envelope on Redis. Each command has a deadline of 2 s and nothing queues inside the client. A
 * command whose answer was lost is sent again: receivers drop a version that they have.
 */
export function createRedisPublisher(options: RedisPublisherOptions): UpdatePublisher {
  const redis = new Redis(options.url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    connectTimeout: 2000,
    commandTimeout: 2000,
    retryStrategy: (attempt) => Math.min(2000, attempt * 100),
  })
  redis.on('error', (error) => options.onFailure({ channel: 'redis', outcome: 'retried', error }))
  let connecting: Promise<unknown> | null = null
  /** One shared wait for all channels; rejects when the attempt fails. */
  const connected = async (): Promise<void> => {
    if (redis.status === 'ready') return
    connecting ??= once(redis, 'ready', { signal: AbortSignal.timeout(2000) }).finally(
      () => (connecting = null),
    )
    await connecting
  }
  const outbox = createOutbox<Update & { readonly origin: CallOrigin }>({
    deliver: async ({ channel, tableId, payload, origin }) => {
      const envelope = { channel, tableId, payload, sourceId: 'game-service', ...origin }
      await connected()
      await redis.publish(ingestChannel, JSON.stringify(envelope))
    },
    maxPerChannel: 64,
    maxChannels: 2000,
    onFailure: options.onFailure,
  })
  return {
    publish: (update) =>
      outbox.push(`${update.channel}:${update.tableId}`, { ...update, origin: currentOrigin() }),
    depth: outbox.depth,
    close: async () => {
      outbox.close()
      redis.disconnect()
    },
  }
}
