import { startRedisCluster } from '@gw/testing'
import { Cluster, Redis } from 'ioredis'
import { randomUUID } from 'node:crypto'
import { inject } from 'vitest'
import { rateLimitClusterOptions, rateLimitRedisOptions, RedisRateLimitStore } from '../src/redis.ts'
import { ready } from './ready.ts'
import { storeContract } from './store-contract.ts'

// The tests look at what is decided, not at how fast: a busy machine must not turn an answer into "unavailable".
const deadlineMs = 5000

storeContract('RedisRateLimitStore', async () => {
  const client = await ready(new Redis(inject('redisUrl'), rateLimitRedisOptions()))
  const prefix = `rl-${randomUUID()}:`
  return {
    create: (now) => new RedisRateLimitStore({ client, prefix, now, deadlineMs }),
    async [Symbol.asyncDispose]() {
      await client.quit()
    },
  }
})

storeContract('RedisRateLimitStore on a Cluster', async () => {
  const cluster = await startRedisCluster()
  const client = await ready(new Cluster([...cluster.seeds], rateLimitClusterOptions()))
  return {
    create: (now) => new RedisRateLimitStore({ client, now, deadlineMs }),
    async [Symbol.asyncDispose]() {
      client.disconnect()
      await cluster[Symbol.asyncDispose]()
    },
  }
})
