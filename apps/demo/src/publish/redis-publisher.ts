import { Redis } from 'ioredis'
import { createOutbox, type OutboxFailure } from './outbox.ts'
import type { Update, UpdatePublisher } from './update.ts'

const ingestChannel = 'gateway:ws:events'

export interface RedisPublisherOptions {
  readonly url: string
  /** Default `gateway:ws:events`. */
  readonly channel?: string | undefined
  readonly onFailure: (failure: OutboxFailure) => void
}

/** Publishes the contract's envelope on Redis. Each command has a deadline of 2 s; nothing queues inside the client. */
export function createRedisPublisher(options: RedisPublisherOptions): UpdatePublisher {
  const redis = new Redis(options.url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    connectTimeout: 2000,
    commandTimeout: 2000,
    retryStrategy: (attempt) => Math.min(2000, attempt * 100),
  })
  redis.on('error', (error) => options.onFailure({ channel: 'redis', outcome: 'retried', error }))
  const outbox = createOutbox<Update>({
    deliver: async ({ channel, tableId, payload }) => {
      const envelope = { channel, tableId, payload, sourceId: 'game-service' }
      await redis.publish(options.channel ?? ingestChannel, JSON.stringify(envelope))
    },
    maxPerChannel: 64,
    maxChannels: 2000,
    onFailure: options.onFailure,
  })
  return {
    publish: (update) => outbox.push(`${update.channel}:${update.tableId}`, update),
    depth: outbox.depth,
    close: async () => {
      outbox.close()
      redis.disconnect()
    },
  }
}
