import { ClusterUpstream } from './cluster-upstream.ts'
import { connectionSettings } from './connection-settings.ts'
import type { RedisClient } from './redis-client.ts'
import { RedisLink, type RedisLinkOptions } from './redis-link.ts'

export interface RedisUpstreamOptions extends Omit<RedisLinkOptions, 'connect' | 'sharded'> {
  readonly client: RedisClient
}

/** Live channels of Redis by their names. */
export interface RedisUpstream {
  /** Resolves when confirmed; `unavailable` after the deadline, and it goes on trying until `unsubscribe`. */
  subscribe(name: string): Promise<void>
  unsubscribe(name: string): void
  /** The servers that messages come from, by a name that stays. */
  shards(): readonly string[]
  /** Which of them a channel's messages come from; undefined while that is not known. */
  shardOf(name: string): string | undefined
  /** Replaces a connection that seems alive and brings nothing. */
  rebuild(shard: string): void
  close(): void
}

/** One link to one node, or one to each master of a Cluster. */
export function createUpstream(options: RedisUpstreamOptions): RedisUpstream {
  const { client } = options
  if ('nodes' in client) return new ClusterUpstream({ ...options, client })
  const link = new RedisLink({
    ...options,
    sharded: false,
    connect: () => client.duplicate(connectionSettings),
  })
  return {
    subscribe: async (name) => link.subscribe(name),
    unsubscribe: (name) => link.unsubscribe(name),
    shards: () => [''],
    shardOf: () => '',
    rebuild: () => link.rebuild(),
    close: () => link.close(),
  }
}
