/**
 * What every store must do, through the limiter, with a clock that the test holds. Windows are minutes long, so that
 * keys in Redis don't expire by Redis's own clock meanwhile.
 */
import fc from 'fast-check'
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createRateLimiter, type Policy, type RateLimiter, type RateLimitStore } from '../src/index.ts'
import { SlidingLog } from './sliding-log.ts'

export interface OpenStore extends AsyncDisposable {
  /** A store on the opened backend whose time is `now`. */
  create(now: () => number): RateLimitStore
}

interface World extends Disposable {
  readonly limiter: RateLimiter
  readonly key: string
  readonly clock: { nowMs: number }
  hit(cost?: number): ReturnType<RateLimiter['consume']>
}

/** A time at which every window of these tests begins. */
const start = 1_800_000_000_000 - (1_800_000_000_000 % 86_400_000)

export function storeContract(name: string, open: () => Promise<OpenStore>): void {
  describe(`${name}: the contract of stores`, () => {
    let backend: OpenStore
    beforeAll(async () => {
      backend = await open()
    })
    afterAll(async () => {
      await backend[Symbol.asyncDispose]()
    })

    function world(first: Policy, ...others: readonly Policy[]): World {
      const clock = { nowMs: start }
      const store = backend.create(() => clock.nowMs)
      const policies = [first, ...others]
      const limiter = createRateLimiter({ store, policies, onStoreError: 'deny', denyCacheKeys: 0 })
      const key = randomUUID()
      return {
        limiter,
        key,
        clock,
        async hit(cost = 1) {
          return limiter.consume([{ policy: first.name, key, cost }])
        },
        [Symbol.dispose]() {
          limiter.close()
        },
      }
    }

    test('weighs 42 hits of the last minute at its 15th second: 49.5 with 18 of this one', async () => {
      using w = world({ name: 'p', limit: 52, windowMs: 60_000 })
      await w.hit(42)
      w.clock.nowMs += 60_000
      await w.hit(9)
      w.clock.nowMs += 15_000
      expect((await w.hit(9)).results).toMatchObject([{ allowed: true, remaining: 2 }])
      // 49.5 + 3 > 52: 0.5 too much; 42 hits give that back in 60000 × 0.5 / 42 = 714.3 ms.
      expect(await w.hit(3)).toMatchObject({ allowed: false, retryAfterMs: 715 })
    })

    test('answers the 11th hit of 10 a second with a wait of 1100 ms, which is exactly enough', async () => {
      using w = world({ name: 'p', limit: 10, windowMs: 120_000 })
      for (let hit = 0; hit < 10; hit += 1) expect((await w.hit()).allowed).toBe(true)
      const refused = await w.hit()
      expect(refused).toMatchObject({ allowed: false, retryAfterMs: 132_000 })
      w.clock.nowMs += 131_999
      expect(await w.hit()).toMatchObject({ allowed: false, retryAfterMs: 1 })
      w.clock.nowMs += 1
      expect((await w.hit()).allowed).toBe(true)
    })

    test('knows nothing of a window before the last one', async () => {
      using w = world({ name: 'p', limit: 10, windowMs: 60_000 })
      await w.hit(10)
      w.clock.nowMs += 120_000
      expect((await w.hit(10)).results).toMatchObject([{ allowed: true, remaining: 0 }])
    })

    test('a cost of 0 and check look without counting', async () => {
      using w = world({ name: 'p', limit: 2, windowMs: 60_000 })
      expect((await w.hit(0)).results).toMatchObject([{ allowed: true, remaining: 2, resetMs: 0 }])
      await w.hit(2)
      expect((await w.hit(0)).results).toMatchObject([{ allowed: true, remaining: 0, resetMs: 120_000 }])
      const check = await w.limiter.check([{ policy: 'p', key: w.key }])
      expect(check).toMatchObject({ allowed: false, results: [{ remaining: 0, moreAfterMs: 90_000 }] })
    })

    test('a hit that one key refuses costs no other key anything', async () => {
      const user = { name: 'user', limit: 1, windowMs: 60_000 }
      using w = world(user, { name: 'ip', limit: 5, windowMs: 60_000 })
      const both = [
        { policy: 'ip', key: `ip:${w.key}` },
        { policy: 'user', key: `u:${w.key}` },
      ]
      expect((await w.limiter.consume(both)).results).toMatchObject([{ remaining: 4 }, { remaining: 0 }])
      for (let hit = 0; hit < 5; hit += 1) {
        const refused = await w.limiter.consume(both)
        expect(refused.allowed).toBe(false)
        expect(refused.results).toMatchObject([
          { policy: 'ip', key: `ip:${w.key}`, allowed: true, remaining: 4, retryAfterMs: 0 },
          {
            policy: 'user',
            key: `u:${w.key}`,
            allowed: false,
            remaining: 0,
            retryAfterMs: refused.retryAfterMs,
          },
        ])
      }
      expect((await w.limiter.check(both)).results).toMatchObject([{ remaining: 4 }, { remaining: 0 }])
    })

    test('a cost above the limit can never fit, and says so', async () => {
      using w = world({ name: 'p', limit: 5, windowMs: 60_000 })
      expect(await w.hit(6)).toMatchObject({ allowed: false, retryAfterMs: -1, results: [{ remaining: 5 }] })
    })

    test('blocks a key after so many refusals, for so long, and not for longer by further ones', async () => {
      using w = world({
        name: 'p',
        limit: 1,
        windowMs: 60_000,
        block: { afterDenials: 3, durationMs: 600_000 },
      })
      await w.hit()
      expect(await w.hit()).toMatchObject({ allowed: false, retryAfterMs: 120_000 })
      await w.hit()
      expect(await w.hit()).toMatchObject({ allowed: false, retryAfterMs: 600_000 })
      w.clock.nowMs += 599_000
      for (let hit = 0; hit < 5; hit += 1) expect(await w.hit()).toMatchObject({ retryAfterMs: 1000 })
      w.clock.nowMs += 1000
      expect((await w.hit()).allowed).toBe(true)
    })

    test('refusals of an earlier window do not add up to a block', async () => {
      const block = { afterDenials: 2, durationMs: 600_000 }
      using w = world({ name: 'p', limit: 1, windowMs: 60_000, block })
      await w.hit()
      await w.hit()
      w.clock.nowMs += 61_000
      expect(await w.hit()).toMatchObject({ allowed: false, retryAfterMs: 59_000 })
    })

    test('a clock that goes back frees nobody and shuts nobody out for longer than a bucket more', async () => {
      using w = world({ name: 'p', limit: 4, windowMs: 60_000, buckets: 4 })
      await w.hit(4)
      w.clock.nowMs -= 3_600_000
      const refused = await w.hit()
      expect(refused.allowed).toBe(false)
      expect(refused.retryAfterMs).toBeLessThanOrEqual(60_000 + 2 * 15_000)
      w.clock.nowMs += refused.retryAfterMs - 1
      expect((await w.hit()).allowed).toBe(false)
      w.clock.nowMs += 1
      expect((await w.hit()).allowed).toBe(true)
    })

    test('increment counts beyond the limit; reset forgets', async () => {
      using w = world({ name: 'p', limit: 2, windowMs: 60_000 })
      const keys = [{ policy: 'p', key: w.key }]
      const allowed: boolean[] = []
      for (let hit = 0; hit < 4; hit += 1) allowed.push((await w.limiter.increment(keys)).allowed)
      expect(allowed).toEqual([true, true, false, false])
      expect((await w.hit()).allowed).toBe(false)
      await w.limiter.reset(keys)
      expect((await w.hit()).results).toMatchObject([{ allowed: true, remaining: 1 }])
    })

    test('keys that differ only in odd characters or after 200 of them are told apart', async () => {
      using w = world({ name: 'p', limit: 1, windowMs: 60_000 })
      const long = 'x'.repeat(200)
      const keys = ['{a}', '{a}{b}', 'ä', ' ', `${long}1`, `${long}2`, '#a'].map((key) => key + w.key)
      const decisions = keys.map(async (key) => w.limiter.consume([{ policy: 'p', key }]))
      for (const decision of await Promise.all(decisions)) expect(decision.allowed).toBe(true)
    })

    describe.each([1, 2, 6, 10])('with %i buckets', (buckets) => {
      const policy = { name: 'p', limit: 20, windowMs: 120_000, buckets }
      const bound = Math.floor(policy.limit * (1 + 1 / buckets))

      test('no window ever holds more than limit × (1 + 1/B), refusals count nothing, waits are enough', async () => {
        const steps = fc.array(fc.record({ waitMs: waits(policy), cost: fc.integer({ min: 1, max: 9 }) }), {
          minLength: 20,
          maxLength: 60,
        })
        await fc.assert(
          fc.asyncProperty(steps, async (all) => {
            using w = world(policy)
            const log = new SlidingLog(policy.windowMs)
            for (const { waitMs, cost } of all) {
              w.clock.nowMs += waitMs
              let decision = await w.hit(cost)
              if (!decision.allowed) {
                // The same again: had the refusal counted, the wait would have grown.
                expect(await w.hit(cost)).toEqual(decision)
                w.clock.nowMs += decision.retryAfterMs - 1
                expect((await w.hit(cost)).allowed).toBe(false)
                w.clock.nowMs += 1
                decision = await w.hit(cost)
              }
              expect(decision.allowed).toBe(true)
              log.add(w.clock.nowMs, cost)
            }
            expect(log.most()).toBeLessThanOrEqual(bound)
          }),
          { numRuns: 25 },
        )
      })

      test('an adversary who bursts at an edge, then takes whatever he can get, gets no more', async () => {
        using w = world(policy)
        const log = new SlidingLog(policy.windowMs)
        const width = policy.windowMs / buckets
        w.clock.nowMs += width - 1
        expect((await w.hit(policy.limit)).allowed).toBe(true)
        log.add(w.clock.nowMs, policy.limit)
        const end = w.clock.nowMs + 2 * policy.windowMs
        while (w.clock.nowMs < end) {
          const decision = await w.hit()
          if (decision.allowed) log.add(w.clock.nowMs, 1)
          else w.clock.nowMs += decision.retryAfterMs
        }
        expect(log.most()).toBeLessThanOrEqual(bound)
        // He does get what the bound promises, up to one hit: otherwise the test would show nothing.
        expect(log.most()).toBeGreaterThanOrEqual(bound - 1)
      })
    })
  })
}

/** Waits of any length, and those that end at the edge of a bucket. */
function waits({ windowMs, buckets }: Policy & { readonly buckets: number }): fc.Arbitrary<number> {
  const width = windowMs / buckets
  const near = fc.integer({ min: 0, max: 3 }).map((times) => Math.max(0, times * width - 1))
  return fc.oneof(
    fc.constant(0),
    near,
    fc.integer({ min: 0, max: windowMs }),
    fc.integer({ min: 0, max: 50 }),
  )
}
