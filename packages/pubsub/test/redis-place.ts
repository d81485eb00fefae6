import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { inject } from 'vitest'
import type { ProvidedRedis } from '@gw/testing'
import type { BrokerEvent } from '@gw/pubsub'
import { createRedisBroker, type RedisBroker, type RedisBrokerOptions } from '@gw/pubsub/redis'
import { classes, type Place } from './contract.ts'

/** A place on one Redis node, with a prefix of its own. */
export interface RedisPlace extends Place {
  readonly prefix: string
  /** All events of all its brokers. */
  readonly events: BrokerEvent[]
  connect(options?: Partial<RedisBrokerOptions> & { url?: string }): RedisBroker
  client(url?: string): Redis
}

export function openRedis(url: ProvidedRedis['redisUrl'] = inject('redisUrl')): RedisPlace {
  const prefix = `t-${randomUUID()}`
  const events: BrokerEvent[] = []
  const brokers: RedisBroker[] = []
  const clients: Redis[] = []
  const client = (target = url): Redis => {
    const redis = new Redis(target, {
      autoResendUnfulfilledCommands: false,
      retryStrategy: () => 50,
      maxRetriesPerRequest: null,
    })
    redis.on('error', () => {})
    clients.push(redis)
    return redis
  }
  return {
    prefix,
    events,
    shared: true,
    client,
    connect: ({ url: target, ...options } = {}) => {
      const onEvent = (event: BrokerEvent): void => void events.push(event)
      const broker = createRedisBroker({ client: client(target), prefix, classes, onEvent, ...options })
      brokers.push(broker)
      return broker
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(brokers.map(async (broker) => broker.close()))
      for (const redis of clients) redis.disconnect()
    },
  }
}
