import { startRedis, type TestRedis } from '@gw/testing'
import { Redis } from 'ioredis'
import { expect, test, vi } from 'vitest'
import {
  createRateLimiter,
  type RateLimiter,
  type RateLimitEvent,
  type StoreErrorAction,
} from '../src/index.ts'
import { rateLimitRedisOptions, RedisRateLimitStore } from '../src/redis.ts'
import { ready } from './ready.ts'

interface World extends AsyncDisposable {
  readonly redis: TestRedis
  readonly limiter: RateLimiter
  readonly events: readonly RateLimitEvent[]
}

async function world(onStoreError: StoreErrorAction): Promise<World> {
  const redis = await startRedis()
  const client = await ready(new Redis(redis.url, rateLimitRedisOptions()))
  const events: RateLimitEvent[] = []
  const limiter = createRateLimiter({
    store: new RedisRateLimitStore({ client, probeEveryMs: 100 }),
    policies: [{ name: 'p', limit: 12, windowMs: 3_600_000 }],
    onStoreError,
    liveInstances: () => 3,
    onEvent: (event) => events.push(event),
  })
  return {
    redis,
    limiter,
    events,
    async [Symbol.asyncDispose]() {
      client.disconnect()
      await redis[Symbol.asyncDispose]()
    },
  }
}

const hit = [{ policy: 'p', key: 'u:1' }]

async function backOnRedis(limiter: RateLimiter): Promise<void> {
  const look = async (): Promise<void> => expect((await limiter.check(hit)).source).toBe('redis')
  await vi.waitFor(look, { timeout: 10_000, interval: 20 })
}

test('Redis killed: the process limits alone with its share, and returns when Redis is back', async () => {
  await using w = await world('local')
  expect(await w.limiter.consume(hit)).toMatchObject({
    source: 'redis',
    results: [{ limit: 12, remaining: 11 }],
  })
  await w.redis.kill('SIGKILL')
  const allowed: boolean[] = []
  for (let call = 0; call < 6; call += 1) {
    const decision = await w.limiter.consume(hit)
    expect(decision).toMatchObject({ source: 'local', results: [{ limit: 4 }] })
    allowed.push(decision.allowed)
  }
  expect(allowed).toEqual([true, true, true, true, false, false])
  await w.redis.restart()
  await backOnRedis(w.limiter)
  expect((await w.limiter.consume(hit)).source).toBe('redis')
  const states = w.events.filter((event) => event.type === 'store-state')
  expect(states.map(({ available }) => available)).toEqual([false, true])
  expect(w.events.filter(({ type }) => type === 'store-error').length).toBeGreaterThanOrEqual(6)
})

test('Redis hangs: five calls wait for the deadline, the rest does not wait; it returns when Redis goes on', async () => {
  await using w = await world('local')
  await w.limiter.consume(hit)
  await w.redis.kill('SIGSTOP')
  for (let call = 0; call < 5; call += 1) expect((await w.limiter.consume(hit)).source).toBe('local')
  const startedAt = performance.now()
  for (let call = 0; call < 100; call += 1) expect((await w.limiter.consume(hit)).source).toBe('local')
  // A hundred calls that each waited for the deadline would need 6 s.
  expect(performance.now() - startedAt).toBeLessThan(3000)
  await w.redis.kill('SIGCONT')
  await backOnRedis(w.limiter)
})

test.each([
  ['deny', false, 1000],
  ['allow', true, 0],
] as const)('Redis killed, %s: every call is answered so at once', async (action, allowed, retryAfterMs) => {
  await using w = await world(action)
  await w.redis.kill('SIGKILL')
  const startedAt = performance.now()
  const decision = await w.limiter.consume(hit)
  // An offline queue or a reconnect would take far longer; the margin is for a busy machine.
  expect(performance.now() - startedAt).toBeLessThan(1000)
  expect(decision).toMatchObject({ allowed, source: 'unavailable', retryAfterMs })
})

test('an out-of-memory Redis counts as unavailable', async () => {
  await using redis = await startRedis({ args: ['--maxmemory', '1'] })
  const client = await ready(new Redis(redis.url, rateLimitRedisOptions()))
  const policies = [{ name: 'p', limit: 1, windowMs: 60_000 }]
  const store = new RedisRateLimitStore({ client })
  const limiter = createRateLimiter({ store, policies, onStoreError: 'local' })
  expect((await limiter.consume(hit)).source).toBe('local')
  client.disconnect()
})
