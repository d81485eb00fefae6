import { expect, test } from 'vitest'
import { createRateLimiter, MemoryRateLimitStore, type Policy, type RateLimitEvent } from '../src/index.ts'

const policy: Policy = { name: 'p', limit: 10, windowMs: 1000 }

function create(policies: readonly Policy[]): ReturnType<typeof createRateLimiter> {
  return createRateLimiter({ store: new MemoryRateLimitStore(), policies, onStoreError: 'deny' })
}

test.each<[string, Partial<Policy>]>([
  ['a name with a brace', { name: '{p}' }],
  ['a limit of 0', { limit: 0 }],
  ['half a limit', { limit: 1.5 }],
  ['no window', { windowMs: 0 }],
  ['a window that does not divide', { windowMs: 1000, buckets: 3 }],
  ['too many buckets', { windowMs: 61_000, buckets: 61 }],
  ['a product that is no exact integer', { limit: 1_000_000_000, windowMs: 86_400_000 }],
  ['a cost above the limit', { cost: 11 }],
  ['a block after nothing', { block: { afterDenials: 0, durationMs: 1 } }],
  ['NaN', { limit: Number.NaN }],
])('refuses at construction: %s', (_, wrong) => {
  expect(() => create([{ ...policy, ...wrong }])).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTIONS' }),
  )
})

test('names all mistakes at once, also a name used twice and no policy at all', () => {
  expect(() => create([policy, { ...policy, limit: 0, buckets: 0 }])).toThrow(/twice.*limit.*buckets/)
  expect(() => create([])).toThrow(/at least one/)
})

test.each([
  ['an unknown policy', [{ policy: 'q', key: 'k' }]],
  ['an empty key', [{ policy: 'p', key: '' }]],
  ['no key', []],
  [
    'a key twice',
    [
      { policy: 'p', key: 'k' },
      { policy: 'p', key: 'k' },
    ],
  ],
  ['a negative cost', [{ policy: 'p', key: 'k', cost: -1 }]],
  ['half a cost', [{ policy: 'p', key: 'k', cost: 0.5 }]],
  ['too many keys', Array.from({ length: 17 }, (_, at) => ({ policy: 'p', key: `${at}` }))],
])('rejects a call with %s', async (_, requests) => {
  await expect(create([policy]).consume(requests)).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
})

test('rejects calls after close', async () => {
  const limiter = create([policy])
  limiter.close()
  await expect(limiter.consume([{ policy: 'p', key: 'k' }])).rejects.toMatchObject({ code: 'CLOSED' })
})

test('tells of every decision, with its source and how long it took', async () => {
  const events: RateLimitEvent[] = []
  const store = new MemoryRateLimitStore()
  const onEvent = (event: RateLimitEvent): void => void events.push(event)
  const limiter = createRateLimiter({ store, policies: [policy], onStoreError: 'deny', onEvent })
  const decision = await limiter.consume([{ policy: 'p', key: 'k', cost: 4 }])
  expect(events).toEqual([{ type: 'decision', mode: 'consume', decision, latencyMs: expect.any(Number) }])
  expect(decision).toMatchObject({ allowed: true, source: 'memory', results: [{ remaining: 6 }] })
})
