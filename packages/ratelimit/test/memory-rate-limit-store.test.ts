import { expect, test } from 'vitest'
import { createRateLimiter, MemoryRateLimitStore, RateLimitError } from '../src/index.ts'
import { storeContract } from './store-contract.ts'

storeContract('MemoryRateLimitStore', async () => ({
  create: (now) => new MemoryRateLimitStore({ now }),
  async [Symbol.asyncDispose]() {},
}))

const policies = [{ name: 'p', limit: 2, windowMs: 1000 }]

test('holds no more keys than it may, and forgets the one unused for longest', async () => {
  const store = new MemoryRateLimitStore({ maxKeys: 3, now: () => 0 })
  const limiter = createRateLimiter({ store, policies, onStoreError: 'deny' })
  for (const key of ['a', 'b', 'c', 'a', 'd']) await limiter.consume([{ policy: 'p', key }])
  expect(store.size).toBe(3)
  const left = async (key: string): Promise<number | undefined> =>
    (await limiter.check([{ policy: 'p', key }])).results[0]?.remaining
  expect([await left('a'), await left('b'), await left('c'), await left('d')]).toEqual([0, 2, 1, 1])
})

test('expired keys leave as new ones come, without a timer', async () => {
  let nowMs = 0
  const store = new MemoryRateLimitStore({ now: () => nowMs })
  const limiter = createRateLimiter({ store, policies, onStoreError: 'deny' })
  for (let key = 0; key < 1000; key += 1) await limiter.consume([{ policy: 'p', key: `old${key}` }])
  nowMs += 2000
  for (let key = 0; key < 1000; key += 1) await limiter.consume([{ policy: 'p', key: `new${key}` }])
  expect(store.size).toBe(1000)
})

test('refuses a bound that is none', () => {
  expect(() => new MemoryRateLimitStore({ maxKeys: 0 })).toThrow(RateLimitError)
})
