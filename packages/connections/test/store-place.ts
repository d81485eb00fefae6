import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import type { ConnectionStore } from '@gw/connections'
import {
  type ConnectionsRedis,
  RedisConnectionStore,
  type RedisConnectionStoreEvent,
  type RedisConnectionStoreOptions,
} from '@gw/connections/redis'

/** Where stores of a test find each other. */
export interface StorePlace extends AsyncDisposable {
  /** Whether several instances share it. */
  readonly isShared: boolean
  open(instanceId: string): ConnectionStore
}

export interface RedisPlace extends StorePlace {
  readonly prefix: string
  readonly events: RedisConnectionStoreEvent[]
  open(instanceId: string, options?: Partial<RedisConnectionStoreOptions>): RedisConnectionStore
  /** A client that fails at once without a connection. */
  client(url?: string): Redis
}

/** Asks again until it is so; the test's own time limit ends it. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 10))
}

/** A place of its own on a Redis: a prefix nobody else uses. */
export function openRedisPlace(url: string, redis?: ConnectionsRedis): RedisPlace {
  const prefix = `t-${randomUUID()}`
  const clients: Redis[] = []
  const stores: RedisConnectionStore[] = []
  const events: RedisConnectionStoreEvent[] = []
  const client = (target = url): Redis => {
    const made = new Redis(target, {
      maxRetriesPerRequest: null,
      autoResendUnfulfilledCommands: false,
      retryStrategy: () => 50,
    })
    made.on('error', () => {})
    clients.push(made)
    return made
  }
  return {
    isShared: true,
    prefix,
    events,
    client,
    open(instanceId, options) {
      const onEvent = (event: RedisConnectionStoreEvent): void => void events.push(event)
      const store = new RedisConnectionStore({
        redis: redis ?? client(),
        instanceId,
        prefix,
        onEvent,
        ...options,
      })
      stores.push(store)
      return store
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(stores.map(async (store) => store.close()))
      for (const made of clients) made.disconnect()
    },
  }
}
