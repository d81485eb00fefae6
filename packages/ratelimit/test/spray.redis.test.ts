import { startRedis, type TestRedis } from '@gw/testing'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  addressKey,
  createClientAddress,
  createRateLimiter,
  type Decision,
  type RateLimiter,
  type RateLimitEvent,
  userKey,
} from '../src/index.ts'
import { rateLimitRedisOptions, RedisRateLimitStore } from '../src/redis.ts'
import { ready } from './ready.ts'

let redis: TestRedis
let client: Redis
beforeAll(async () => {
  redis = await startRedis()
  client = await ready(new Redis(redis.url, rateLimitRedisOptions()))
})
afterAll(async () => {
  client.disconnect()
  await redis[Symbol.asyncDispose]()
})
beforeEach(async () => {
  await client.flushall()
})

const perSecond = 100
const addressOf = createClientAddress({ trustedHops: 1 })

/** The key of what a trusted proxy says is the n-th address. */
function sprayed(at: number): string {
  const entry = `198.${(at >> 16) & 255}.${(at >> 8) & 255}.${at & 255}`
  const socket = { remoteAddress: '10.0.0.1' }
  return addressKey(addressOf({ headers: { 'x-forwarded-for': entry }, socket }))
}

interface World {
  readonly limiter: RateLimiter
  readonly clock: { nowMs: number }
  readonly events: readonly RateLimitEvent[]
}

function world(): World {
  const clock = { nowMs: 1_800_000_000_000 }
  const events: RateLimitEvent[] = []
  const limiter = createRateLimiter({
    store: new RedisRateLimitStore({ client, deadlineMs: 5000 }),
    policies: [
      { name: 'ip', limit: 4, windowMs: 60_000, newKeysPerSecond: perSecond },
      { name: 'user', limit: 2, windowMs: 60_000 },
    ],
    onStoreError: 'deny',
    liveInstances: () => 2,
    now: () => clock.nowMs,
    onEvent: (event) => events.push(event),
  })
  return { limiter, clock, events }
}

const hit = async ({ limiter }: World, at: number): Promise<Decision> =>
  limiter.consume([{ policy: 'ip', key: sprayed(at) }])

test('a spray of 20 000 addresses in one second leaves no more keys in Redis than the policy admits', async () => {
  const w = world()
  expect(await hit(w, 0)).toMatchObject({ allowed: true, source: 'redis' })
  const sources = { redis: 0, local: 0 }
  for (let at = 1; at <= 20_000; at += 1) {
    const { allowed, source } = await hit(w, at)
    expect(allowed).toBe(true)
    if (source === 'redis' || source === 'local') sources[source] += 1
  }
  expect(sources).toEqual({ redis: perSecond - 1, local: 20_000 - perSecond + 1 })
  expect(await client.dbsize()).toBe(perSecond)
  expect(w.events.filter(({ type }) => type === 'new-key-capped')).toHaveLength(sources.local)
  // Who was there before is served as before.
  expect(await hit(w, 0)).toMatchObject({ allowed: true, source: 'redis', results: [{ remaining: 2 }] })
  w.clock.nowMs += 1000
  expect(await hit(w, 30_000)).toMatchObject({ source: 'redis' })
})

test('a capped address is limited here, to the share of this instance, until its counters are over', async () => {
  const w = world()
  for (let at = 0; at < perSecond; at += 1) await hit(w, at)
  const allowed: boolean[] = []
  for (let call = 0; call < 4; call += 1) {
    const decision = await hit(w, 5000)
    expect(decision).toMatchObject({ source: 'local', results: [{ limit: 2 }] })
    allowed.push(decision.allowed)
    // Not even when there is room for new ones again: it would get its limit twice.
    w.clock.nowMs += 1000
  }
  expect(allowed).toEqual([true, true, false, false])
  const looked = await w.limiter.check([{ policy: 'ip', key: sprayed(5000) }])
  expect(looked).toMatchObject({ allowed: false, source: 'local' })
  w.clock.nowMs += 120_000
  expect(await hit(w, 5000)).toMatchObject({ allowed: true, source: 'redis', results: [{ limit: 4 }] })
})

test('user in Redis and capped address here: all or nothing, in the order asked', async () => {
  const w = world()
  for (let at = 0; at < perSecond; at += 1) await hit(w, at)
  const asked = (user: string, at: number): { policy: string; key: string }[] => [
    { policy: 'ip', key: sprayed(at) },
    { policy: 'user', key: userKey(user) },
  ]
  expect(await w.limiter.consume(asked('ann', 5000))).toMatchObject({
    allowed: true,
    source: 'redis',
    results: [
      { policy: 'ip', limit: 2, remaining: 1 },
      { policy: 'user', remaining: 1 },
    ],
  })
  await w.limiter.consume([{ policy: 'user', key: userKey('ann') }])
  // The user is refused: the address gets back what it had counted.
  expect(await w.limiter.consume(asked('ann', 5000))).toMatchObject({
    allowed: false,
    results: [
      { policy: 'ip', allowed: true, remaining: 1 },
      { policy: 'user', allowed: false },
    ],
  })
  expect((await w.limiter.consume(asked('bob', 5000))).allowed).toBe(true)
  // The address is refused: the user is not asked, and not charged.
  const before = await client.dbsize()
  expect(await w.limiter.consume(asked('cleo', 5000))).toMatchObject({
    allowed: false,
    source: 'local',
    results: [{ policy: 'ip', allowed: false }],
  })
  expect(await client.dbsize()).toBe(before)
  expect((await w.limiter.increment(asked('cleo', 6000))).results).toMatchObject([
    { remaining: 1 },
    { remaining: 1 },
  ])
})

test('500 calls at once for one capped address and many users: exactly its share is admitted', async () => {
  const w = world()
  for (let at = 0; at < perSecond; at += 1) await hit(w, at)
  const calls = Array.from({ length: 500 }, async (_, at) =>
    w.limiter.consume([
      { policy: 'user', key: userKey(`u${at}`) },
      { policy: 'ip', key: sprayed(5000) },
    ]),
  )
  expect((await Promise.all(calls)).filter(({ allowed }) => allowed)).toHaveLength(2)
})
