/** What a failover to a node whose clock is a minute behind does to limits: a real promotion, with the clocks held here. */
import { startRedis } from '@gw/testing'
import { Redis } from 'ioredis'
import { expect, test, vi } from 'vitest'
import { createRateLimiter, type Policy, type RateLimiter } from '../src/index.ts'
import { rateLimitRedisOptions, RedisRateLimitStore } from '../src/redis.ts'
import { ready } from './ready.ts'

const windowMs = 60_000
const skewMs = 60_000
const limit = 6
/** A window begins here, for every number of buckets. */
const start = 1_800_000_000_000 - (1_800_000_000_000 % windowMs)

function limiterOn(client: Redis, policy: Policy, now: () => number): RateLimiter {
  const store = new RedisRateLimitStore({ client, deadlineMs: 5000, now })
  return createRateLimiter({ store, policies: [policy], onStoreError: 'deny', denyCacheKeys: 0 })
}

async function isSynced(replica: Redis, master: Redis): Promise<void> {
  const offset = /master_repl_offset:(\d+)/.exec(await master.info('replication'))?.[1]
  const state = await replica.info('replication')
  expect(state).toContain('master_link_status:up')
  expect(Number(/slave_repl_offset:(\d+)/.exec(state)?.[1])).toBeGreaterThanOrEqual(Number(offset))
}

test('to a node a minute behind: no counter is reset, none with room is shut, none waits for more than a window longer', async () => {
  await using master = await startRedis({ args: ['--repl-diskless-sync-delay', '0'] })
  await using replica = await startRedis({ args: ['--replicaof', '127.0.0.1', `${master.port}`] })
  const [before, after] = await Promise.all(
    [master, replica].map(async ({ url }) => ready(new Redis(url, rateLimitRedisOptions()))),
  )
  if (before === undefined || after === undefined) expect.unreachable()

  const cases = [1, 6].flatMap((buckets) =>
    [0, 30_000, 59_999].map((phaseMs) => {
      const policy = { name: `p${buckets}-${phaseMs}`, limit, windowMs, buckets }
      const clock = { nowMs: start + phaseMs }
      return { policy, clock, waits: new Map<string, number>() }
    }),
  )
  const keysOf = Array.from({ length: 8 * (limit + 1) }, (_, at) => ({
    key: `u:${at}`,
    used: at % (limit + 1),
  }))
  for (const { policy, clock, waits } of cases) {
    const limiter = limiterOn(before, policy, () => clock.nowMs)
    for (const { key, used } of keysOf) {
      if (used > 0) await limiter.consume([{ policy: policy.name, key, cost: used }])
      const { retryAfterMs } = await limiter.check([{ policy: policy.name, key, cost: limit }])
      waits.set(key, retryAfterMs)
    }
  }

  await vi.waitFor(async () => isSynced(after, before), { timeout: 20_000, interval: 20 })
  await after.replicaof('NO', 'ONE')
  await master.kill('SIGKILL')

  for (const { policy, clock, waits } of cases) {
    clock.nowMs -= skewMs
    const limiter = limiterOn(after, policy, () => clock.nowMs)
    const stepped = clock.nowMs
    for (const { key, used } of keysOf) {
      clock.nowMs = stepped
      const name = `${policy.name} ${used}`
      const all = await limiter.check([{ policy: policy.name, key, cost: limit }])
      expect(all.retryAfterMs, name).toBeLessThanOrEqual((waits.get(key) ?? 0) + Math.min(skewMs, windowMs))
      let allowed = 0
      while ((await limiter.consume([{ policy: policy.name, key }])).allowed) allowed += 1
      expect(allowed, name).toBe(limit - used)
      const refused = await limiter.consume([{ policy: policy.name, key }])
      clock.nowMs += refused.retryAfterMs
      expect((await limiter.consume([{ policy: policy.name, key }])).allowed, name).toBe(true)
    }
    clock.nowMs = stepped
    expect(await limiter.consume([{ policy: policy.name, key: 'new', cost: limit }])).toMatchObject({
      allowed: true,
      results: [
        { resetMs: windowMs + policy.windowMs / policy.buckets - (stepped % (windowMs / policy.buckets)) },
      ],
    })
  }
  before.disconnect()
  await after.quit()
})
