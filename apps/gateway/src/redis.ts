/**
 * The Redis connections of one instance. Each kind of work has its own, so that none waits behind another: commands and
 * limits here; the broker and the revocation list make their subscriptions' own from the first. No command waits for ever
 * and none is queued without a connection: with Redis away they fail at once, and the connections come back by themselves.
 */
import { rateLimitClusterOptions, rateLimitRedisOptions } from '@gw/ratelimit/redis'
import { Cluster, Redis, type RedisOptions } from 'ioredis'

export interface RedisClients {
  readonly commands: Redis | Cluster
  readonly limits: Redis | Cluster
  /** Whether commands can be sent now. A Redis that answers none for twice `timeoutMs` counts as gone. */
  isUp(): boolean
  close(): void
}

/** What the addresses are of: the one Redis, the Sentinels that know it, or some nodes of a Cluster. */
export type RedisMode = 'single' | 'sentinel' | 'cluster'

export interface RedisClientsOptions {
  /** `redis://[user:password@]host:port[/db]`, several with commas between; user and password of the first count. */
  readonly url: string
  readonly mode: RedisMode
  /** What the Sentinels call the master. */
  readonly masterName: string
  /** Deadline of each command. */
  readonly timeoutMs: number
  readonly onChange: (state: 'up' | 'down', error?: unknown) => void
}

const retryDelayMs = (attempt: number): number =>
  Math.min(50 * 2 ** Math.min(attempt, 5), 1000) + Math.floor(Math.random() * 100)

const commandOptions = {
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  connectTimeout: 1000,
  retryStrategy: retryDelayMs,
  reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
}

interface Addresses {
  readonly nodes: readonly { readonly host: string; readonly port: number }[]
  readonly login: Pick<RedisOptions, 'username' | 'password' | 'tls'>
}

function addressesOf(url: string): Addresses {
  const urls = url.split(',').map((text) => new URL(text.trim()))
  const [first] = urls
  return {
    nodes: urls.map(({ hostname, port }) => ({ host: hostname, port: port === '' ? 6379 : Number(port) })),
    login: {
      ...(first?.username && { username: decodeURIComponent(first.username) }),
      ...(first?.password && { password: decodeURIComponent(first.password) }),
      ...(first?.protocol === 'rediss:' && { tls: {} }),
    },
  }
}

function connect({ url, mode, masterName, timeoutMs }: RedisClientsOptions) {
  // The command that is late is given up first. Then the connection: who hangs may have been replaced by another master.
  const timeouts = { commandTimeout: timeoutMs, socketTimeout: 2 * timeoutMs }
  const commands = { ...commandOptions, ...timeouts }
  const limits = rateLimitRedisOptions()
  if (mode === 'single') return { commands: new Redis(url, commands), limits: new Redis(url, limits) }
  const { nodes, login } = addressesOf(url)
  if (mode === 'sentinel') {
    const sentinel = {
      sentinels: [...nodes],
      name: masterName,
      sentinelRetryStrategy: retryDelayMs,
      ...login,
    }
    return {
      commands: new Redis({ ...sentinel, ...commands }),
      limits: new Redis({ ...sentinel, ...limits }),
    }
  }
  const { redisOptions, ...limitsCluster } = rateLimitClusterOptions()
  return {
    commands: new Cluster([...nodes], {
      enableOfflineQueue: false,
      slotsRefreshInterval: 1000,
      slotsRefreshTimeout: 1000,
      clusterRetryStrategy: retryDelayMs,
      // The queues of its nodes stay on: a command would fail while the connection to a node is being made.
      redisOptions: {
        autoResendUnfulfilledCommands: false,
        maxRetriesPerRequest: 0,
        connectTimeout: 1000,
        ...timeouts,
        ...login,
      },
    }),
    limits: new Cluster([...nodes], { ...limitsCluster, redisOptions: { ...redisOptions, ...login } }),
  }
}

/** Starts connecting and returns at once; Redis may be absent. */
export function createRedisClients(options: RedisClientsOptions): RedisClients {
  const { commands, limits } = connect(options)
  const all = [commands, limits]
  let up = false
  let lastError: unknown
  for (const client of all) client.on('error', (error: unknown) => (lastError = error))
  commands.on('ready', () => {
    up = true
    options.onChange('up')
  })
  commands.on('close', () => {
    if (up) options.onChange('down', lastError)
    up = false
  })
  return {
    commands,
    limits,
    isUp: () => up,
    close() {
      for (const client of all) client.disconnect()
    },
  }
}
