/**
 * The Redis connections of one instance. Each kind of work has its own, so that none waits behind another: commands and
 * limits here; the broker and the revocation list make their subscriptions' own from the first. No command waits for ever and none is queued without a connection: with Redis away they fail
 * at once, and the connections come back by themselves.
 */
import type { RateLimitRedisOptions } from '@gw/ratelimit/redis'
import { Redis } from 'ioredis'

export interface RedisClients {
  readonly commands: Redis
  readonly limits: Redis
  /** Whether commands can be sent now. */
  isUp(): boolean
  close(): void
}

export interface RedisClientsOptions {
  readonly url: string
  readonly timeoutMs: number
  readonly limitsOptions: RateLimitRedisOptions
  readonly onChange: (state: 'up' | 'down', error?: unknown) => void
}

/** Starts connecting and returns at once; Redis may be absent. */
export function createRedisClients({
  url,
  timeoutMs,
  limitsOptions,
  onChange,
}: RedisClientsOptions): RedisClients {
  const shared = {
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    connectTimeout: 1000,
    retryStrategy: (attempt: number) =>
      Math.min(50 * 2 ** Math.min(attempt, 5), 1000) + Math.floor(Math.random() * 100),
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
  }
  const commands = new Redis(url, { ...shared, commandTimeout: timeoutMs })
  const limits = new Redis(url, limitsOptions)
  const all = [commands, limits]
  let up = false
  let lastError: unknown
  for (const client of all) client.on('error', (error) => (lastError = error))
  commands.on('ready', () => {
    up = true
    onChange('up')
  })
  commands.on('close', () => {
    if (up) onChange('down', lastError)
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
