import { PubSubError } from '../errors.ts'
import type { ConnectionSettings, RedisClient } from './redis-client.ts'
import { RedisLink, type RedisLinkOptions } from './redis-link.ts'

export interface RedisUpstreamOptions extends Omit<RedisLinkOptions, 'connect' | 'sharded'> {
  readonly client: RedisClient
}

/** Live channels of Redis by their names. */
export interface RedisUpstream {
  subscribe(name: string): Promise<void>
  unsubscribe(name: string): void
  /** Replaces connections that seem alive and bring nothing. */
  rebuild(): void
  close(): void
}

/** Subscribing again, waiting and sending again are ours: the connection does none of it by itself. */
export const connectionSettings: ConnectionSettings = {
  autoResubscribe: false,
  autoResendUnfulfilledCommands: false,
  enableOfflineQueue: false,
  lazyConnect: false,
  retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt, 6), 1000) * (0.75 + Math.random() / 2),
}

/** One link to one node. */
export function createUpstream(options: RedisUpstreamOptions): RedisUpstream {
  const { client } = options
  if (!('duplicate' in client)) throw new PubSubError('invalid', 'The client cannot be duplicated')
  return new RedisLink({
    ...options,
    sharded: false,
    connect: () => client.duplicate(connectionSettings),
  })
}
