import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import { RedisPresenceStore } from '@gw/connections/redis'
import { testPresenceStore } from './presence-store.suite.ts'

let redis: Redis
beforeAll(() => {
  redis = new Redis(inject('redisUrl'))
})
afterAll(() => redis.disconnect())

testPresenceStore((graceMs) => new RedisPresenceStore({ redis, prefix: `t-${randomUUID()}`, graceMs }))

it('gives a change again to who repeats the update, whose answer got lost', async () => {
  const store = new RedisPresenceStore({ redis, prefix: `t-${randomUUID()}`, graceMs: 0 })
  const update = { userId: 'u', connectionId: '1', status: 'online', id: 'first' } as const
  const { change } = await store.update(update)
  expect(change).toMatchObject({ previous: 'offline', status: 'online' })
  expect(await store.update(update)).toEqual({ status: 'online', change })
  expect(await store.update({ ...update, id: 'second' })).toEqual({ status: 'online' })
})

it('lists users whose instance died in their grace until somebody settles them', async () => {
  const store = new RedisPresenceStore({ redis, prefix: `t-${randomUUID()}`, graceMs: 1 })
  await store.update({ userId: 'u', connectionId: '1', status: 'online' })
  await store.update({ userId: 'u', connectionId: '1', status: 'offline' })
  let overdue: readonly string[] = []
  while (overdue.length === 0) overdue = await store.overdue()
  expect(overdue).toEqual(['u'])
  expect((await store.settle('u', true)).change).toMatchObject({ status: 'offline' })
  expect(await store.overdue()).toEqual([])
})

it('leaves no key without an end', async () => {
  const prefix = `t-${randomUUID()}`
  const store = new RedisPresenceStore({ redis, prefix, graceMs: 50 })
  for (const status of ['online', 'away', 'offline'] as const) {
    for (const userId of ['u', 'v']) await store.update({ userId, connectionId: '1', status })
    const keys = await redis.keys(`${prefix}*`)
    expect(keys.length).toBeGreaterThanOrEqual(2)
    for (const key of keys) expect(await redis.pttl(key)).toBeGreaterThan(0)
  }
})

it('says unavailable when Redis is not there', async () => {
  const absent = new Redis({ host: '127.0.0.1', port: 1, lazyConnect: true, retryStrategy: null })
  absent.on('error', () => {})
  const store = new RedisPresenceStore({ redis: absent, timeoutMs: 100 })
  await expect(store.getStatus(['u'])).rejects.toMatchObject({ code: 'unavailable' })
  absent.disconnect()
})

it.each([
  { graceMs: 10, ttlMs: 5 },
  { graceMs: Number.NaN },
  { graceMs: 2 ** 31, ttlMs: 2 ** 32 },
  // Redis refuses it after the user was written, who then stays without an end.
  { ttlMs: 3_600_000.5 },
  { ttlMs: Infinity },
  { timeoutMs: Infinity },
  { maxPending: Number.NaN },
])('refuses the settings %o', (options) => {
  expect(() => new RedisPresenceStore({ redis, ...options })).toThrow(
    expect.objectContaining({ code: 'invalid' }),
  )
})
