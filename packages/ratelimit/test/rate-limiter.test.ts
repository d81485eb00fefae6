import { describe, expect, test } from 'vitest'
import {
  createRateLimiter,
  MemoryRateLimitStore,
  type Policy,
  type RateLimiter,
  type RateLimitEvent,
  type RateLimitStore,
  type StoreMode,
} from '../src/index.ts'

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

describe('refusals answered from the cache', () => {
  interface Asked {
    readonly mode: StoreMode
    readonly refusals: number
  }

  interface Distant {
    readonly limiter: RateLimiter
    /** What the store was told, in order. */
    readonly asked: Asked[]
    nowMs: number
    isDown: boolean
  }

  const request = { policy: 'login', key: 'k', cost: 3 }
  const cheaper = { ...request, cost: 2 }
  const login: Policy = {
    name: 'login',
    limit: 3,
    windowMs: 60_000,
    block: { afterDenials: 50, durationMs: 600_000 },
  }

  /** A limiter that has answered ten refusals from its cache, over a store that answers later, as Redis does. */
  async function createDistant(): Promise<Distant> {
    const asked: Asked[] = []
    const inner = new MemoryRateLimitStore({ now: () => distant.nowMs })
    const store: RateLimitStore = {
      kind: 'redis',
      async judge(requests, mode) {
        for (const { refusals } of requests) asked.push({ mode, refusals })
        await Promise.resolve()
        if (distant.isDown) throw new Error('down')
        return inner.judge(requests, mode)
      },
      reset: (requests) => inner.reset(requests),
      close: () => inner.close(),
    }
    const now = (): number => distant.nowMs
    const distant: Distant = {
      limiter: createRateLimiter({ store, policies: [login], onStoreError: 'deny', now }),
      asked,
      nowMs: 1_000_000,
      isDown: false,
    }
    await distant.limiter.consume([cheaper])
    for (let calls = 0; calls < 11; calls += 1) await distant.limiter.consume([request])
    expect(asked.splice(0)).toHaveLength(2)
    distant.nowMs += 5000
    return distant
  }

  test('are told to the store once, however many calls ask it at once', async () => {
    const { limiter, asked } = await createDistant()
    await Promise.all(Array.from({ length: 4 }, () => limiter.consume([request])))
    expect(asked.map(({ refusals }) => refusals)).toEqual([10, 0, 0, 0])
  })

  test('are told again when the store did not hear of them', async () => {
    const distant = await createDistant()
    const { limiter, asked } = distant
    distant.isDown = true
    await limiter.consume([request])
    distant.isDown = false
    await limiter.consume([request])
    expect(asked.map(({ refusals }) => refusals)).toEqual([10, 10])
  })

  test('are not lost by a look, which counts nothing', async () => {
    const { limiter, asked } = await createDistant()
    await limiter.check([request])
    await limiter.increment([request])
    expect(asked).toEqual([
      { mode: 'check', refusals: 0 },
      { mode: 'increment', refusals: 10 },
    ])
  })

  test('are counted while a call is on its way', async () => {
    const distant = await createDistant()
    const { limiter, asked } = distant
    distant.nowMs -= 1
    // Less than what was refused, so the store must be asked.
    const onItsWay = limiter.consume([cheaper])
    expect(await limiter.consume([request])).toMatchObject({ source: 'cache' })
    await onItsWay
    distant.nowMs += 5000
    await limiter.consume([request])
    expect(asked.map(({ refusals }) => refusals)).toEqual([10, 1])
  })
})
