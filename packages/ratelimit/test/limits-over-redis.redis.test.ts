import { startRedis } from '@gw/testing'
import { Redis } from 'ioredis'
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { createRateLimiter, type Policy, type RateLimiter } from '../src/index.ts'
import { rateLimitRedisOptions, RedisRateLimitStore } from '../src/redis.ts'
import { ready } from './ready.ts'

let client: Redis
beforeAll(async () => {
  client = await ready(new Redis(inject('redisUrl'), rateLimitRedisOptions()))
})
afterAll(async () => {
  await client.quit()
})

function limiterOf(policy: Policy, prefix = `rl-${randomUUID()}:`): RateLimiter {
  const store = new RedisRateLimitStore({ client, prefix, deadlineMs: 5000 })
  return createRateLimiter({ store, policies: [policy], onStoreError: 'deny', denyCacheKeys: 0 })
}

/** Commands that Redis ran, of one name. */
async function callsOf(redis: Redis, command: string): Promise<number> {
  const info = await redis.info('commandstats')
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(info)?.[1] ?? 0)
}

test('of 500 calls at once from two processes, under a limit of 100, exactly 100 are allowed', async () => {
  const prefix = `rl-${randomUUID()}:`
  const script = new URL('fixtures/consumer.ts', import.meta.url).pathname
  const processes = [0, 1].map(() => {
    const args = ['--conditions=@gw/source', script, inject('redisUrl'), prefix, '250']
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() }
  })
  try {
    for (const { lines } of processes) expect((await lines.next()).value).toBe('ready')
    for (const { child } of processes) child.stdin.write('go\n')
    const answers = processes.map(async ({ lines }): Promise<{ allowed: number; unavailable: number }> =>
      JSON.parse(String((await lines.next()).value)),
    )
    const results = await Promise.all(answers)
    expect(results.reduce((sum, { allowed }) => sum + allowed, 0)).toBe(100)
    expect(results.reduce((sum, { unavailable }) => sum + unavailable, 0)).toBe(0)
  } finally {
    for (const { child } of processes) child.kill()
  }
})

test.each([1, 5])(
  '100 of 100 retries after retryAfterMs are allowed, by the clock of Redis (%i buckets)',
  async (buckets) => {
    const limiter = limiterOf({ name: 'p', limit: 3, windowMs: 200, buckets })
    const retries = Array.from({ length: 100 }, async (_, index): Promise<boolean> => {
      const hit = [{ policy: 'p', key: `k${index}` }]
      let decision = await limiter.consume(hit)
      while (decision.allowed) decision = await limiter.consume(hit)
      const dueAt = performance.now() + decision.retryAfterMs
      // A timer may fire a little early: the promise is about time, not about timers.
      for (let left = decision.retryAfterMs; left > 0; left = dueAt - performance.now()) await pause(left)
      return (await limiter.consume(hit)).allowed
    })
    expect((await Promise.all(retries)).filter(Boolean)).toHaveLength(100)
  },
)

test('a key takes 24 bytes with one bucket, always expires, and a refusal does not touch it', async () => {
  const prefix = `rl-${randomUUID()}:`
  const limiter = limiterOf({ name: 'p', limit: 2, windowMs: 60_000 }, prefix)
  const hit = [{ policy: 'p', key: 'u:1' }]
  await limiter.consume(hit)
  await limiter.consume(hit)
  const keys = await client.keys(`${prefix}*`)
  expect(keys).toEqual([`${prefix}{u:1}:p:60000:1`])
  const [key = ''] = keys
  expect(await client.strlen(key)).toBe(24)
  const ttl = await client.pttl(key)
  expect(ttl).toBeGreaterThan(55_000)
  expect(ttl).toBeLessThanOrEqual(120_000)
  const before = await client.getBuffer(key)
  expect((await limiter.consume(hit)).allowed).toBe(false)
  expect(await client.getBuffer(key)).toEqual(before)
})

test('a script cache that Redis lost is filled again by the call that finds it empty', async () => {
  await using redis = await startRedis()
  const own = await ready(new Redis(redis.url, rateLimitRedisOptions()))
  const store = new RedisRateLimitStore({ client: own, deadlineMs: 5000 })
  const policies = [{ name: 'p', limit: 5, windowMs: 60_000 }]
  const limiter = createRateLimiter({ store, policies, onStoreError: 'deny' })
  await limiter.consume([{ policy: 'p', key: 'a' }])
  await own.script('FLUSH')
  const decision = await limiter.consume([{ policy: 'p', key: 'a' }])
  expect(decision).toMatchObject({ allowed: true, source: 'redis', results: [{ remaining: 3 }] })
  await own.quit()
})

test('a flood from one key costs Redis one call, and others nothing', async () => {
  await using redis = await startRedis()
  const own = await ready(new Redis(redis.url, rateLimitRedisOptions()))
  const store = new RedisRateLimitStore({ client: own, deadlineMs: 5000 })
  const policies = [{ name: 'p', limit: 10, windowMs: 3_600_000 }]
  const limiter = createRateLimiter({ store, policies, onStoreError: 'deny' })
  const hit = [{ policy: 'p', key: 'flood' }]
  for (let call = 0; call < 11; call += 1) await limiter.consume(hit)
  const before = await callsOf(own, 'evalsha')
  const sources = new Set<string>()
  for (let call = 0; call < 20_000; call += 1) sources.add((await limiter.consume(hit)).source)
  expect([...sources].every((source) => source === 'cache' || source === 'redis')).toBe(true)
  // Refusals are remembered for 5 s at most: one call, or two on a machine that needs longer for 20 000.
  expect((await callsOf(own, 'evalsha')) - before).toBeLessThanOrEqual(2)
  const other = await limiter.consume([{ policy: 'p', key: 'other' }])
  expect(other).toMatchObject({ allowed: true, source: 'redis' })
  await own.quit()
})

test('refusals that the cache answered count for the block', async () => {
  const store = new RedisRateLimitStore({ client, prefix: `rl-${randomUUID()}:`, deadlineMs: 5000 })
  const block = { afterDenials: 10, durationMs: 7_200_000 }
  const policies = [{ name: 'p', limit: 1, windowMs: 3_600_000, block }]
  const limiter = createRateLimiter({ store, policies, onStoreError: 'deny' })
  const hit = [{ policy: 'p', key: 'u:1' }]
  await limiter.consume(hit)
  const sources: string[] = []
  for (let refusal = 0; refusal < 12; refusal += 1) sources.push((await limiter.consume(hit)).source)
  expect(sources.slice(0, 9)).toEqual(['redis', ...Array.from({ length: 8 }, () => 'cache')])
  const state = await limiter.check(hit)
  expect(state.retryAfterMs).toBeGreaterThan(7_100_000)
})
