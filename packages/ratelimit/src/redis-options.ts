import type { ClusterOptions, RedisOptions } from 'ioredis'

/**
 * Options for the limiter's own client. A limit that waits is worse than none: nothing is queued while Redis is away,
 * nothing is sent twice (it would count twice), commands of one turn share a write, a silent connection is replaced
 * after 1 s, and reconnecting never gives up.
 */
export function rateLimitRedisOptions(): RateLimitRedisOptions {
  return {
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    enableAutoPipelining: true,
    connectTimeout: 500,
    socketTimeout: 1000,
    retryStrategy: reconnectDelayMs,
    // After a failover the old master answers READONLY until it is left.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  }
}

/**
 * The same for `new Cluster(nodes, …)`. Only the cluster's own queue is switched off: with that of its nodes off, a
 * command would fail while the connection to a node is being made.
 */
export function rateLimitClusterOptions(): RateLimitClusterOptions {
  const { autoResendUnfulfilledCommands, connectTimeout, socketTimeout } = rateLimitRedisOptions()
  return {
    enableOfflineQueue: false,
    enableAutoPipelining: true,
    slotsRefreshInterval: 1000,
    slotsRefreshTimeout: 500,
    clusterRetryStrategy: reconnectDelayMs,
    redisOptions: { autoResendUnfulfilledCommands, connectTimeout, socketTimeout, maxRetriesPerRequest: 0 },
  }
}

export type RateLimitRedisOptions = Pick<
  RedisOptions,
  | 'enableOfflineQueue'
  | 'maxRetriesPerRequest'
  | 'enableAutoPipelining'
  | 'connectTimeout'
  | 'socketTimeout'
  | 'retryStrategy'
  | 'reconnectOnError'
  | 'autoResendUnfulfilledCommands'
>

export type RateLimitClusterOptions = Pick<
  ClusterOptions,
  | 'enableOfflineQueue'
  | 'enableAutoPipelining'
  | 'slotsRefreshInterval'
  | 'slotsRefreshTimeout'
  | 'clusterRetryStrategy'
> & {
  readonly redisOptions: Pick<
    RedisOptions,
    'autoResendUnfulfilledCommands' | 'connectTimeout' | 'socketTimeout' | 'maxRetriesPerRequest'
  >
}

function reconnectDelayMs(attempt: number): number {
  return Math.min(50 * 2 ** Math.min(attempt, 6), 1000) + Math.floor(Math.random() * 100)
}
