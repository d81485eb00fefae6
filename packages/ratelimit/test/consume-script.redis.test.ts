import { Redis } from 'ioredis'
import { randomUUID } from 'node:crypto'
import { expect, inject, test } from 'vitest'
import { createRateLimiter, MemoryRateLimitStore, type Policy, type RateLimitStore } from '../src/index.ts'
import { rateLimitRedisOptions, RedisRateLimitStore } from '../src/redis.ts'
import { ready } from './ready.ts'

// The most that one script may hold: Lua bounds the variables of a function.
const policies = Array.from({ length: 16 }, (_, at): Policy => ({
  name: `p${at}`,
  limit: 3 + at,
  windowMs: 60_000,
  buckets: at % 3 === 0 ? 1 : 60,
  block: { afterDenials: 2, durationMs: 90_000 },
}))

/** What a store answers to the largest call, twelve times, with refusals, a block and its end, under a given clock. */
async function answersOf(create: (now: () => number) => RateLimitStore): Promise<readonly unknown[]> {
  let nowMs = 1_700_000_000_000
  const store = create(() => nowMs)
  const limiter = createRateLimiter({ store, policies, onStoreError: 'deny', denyCacheKeys: 0 })
  const requests = policies.map(({ name }) => ({ policy: name, key: 'u:1' }))
  const answers: unknown[] = []
  for (const waitMs of [0, 1000, 0, 0, 999, 40_000, 0, 60_000, 1, -3000, 90_000, 0]) {
    nowMs += waitMs
    const { allowed, retryAfterMs, results } = await limiter.consume(requests)
    answers.push({ allowed, retryAfterMs, results })
  }
  return answers
}

test('the largest call there may be is answered by Redis as by the memory', async () => {
  const client = await ready(new Redis(inject('redisUrl'), rateLimitRedisOptions()))
  const prefix = `rl-${randomUUID()}:`
  const inRedis = await answersOf((now) => new RedisRateLimitStore({ client, prefix, now, deadlineMs: 5000 }))
  const inMemory = await answersOf((now) => new MemoryRateLimitStore({ now }))
  expect(inRedis).toEqual(inMemory)
  expect(new Set(inMemory.map((answer) => JSON.stringify(answer))).size).toBeGreaterThan(6)
  await client.quit()
})
