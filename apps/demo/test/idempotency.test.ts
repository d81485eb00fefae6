import { describe, expect, it } from 'vitest'
import { IdempotencyCache } from '../src/idempotency.ts'
import { ManualClock } from './manual-clock.ts'

function counter(): { run: () => number; readonly runs: () => number } {
  let runs = 0
  return { run: () => ++runs, runs: () => runs }
}

describe('IdempotencyCache', () => {
  it('answers repeats with the first answer until the time is over', async () => {
    const clock = new ManualClock()
    const cache = new IdempotencyCache({ clock })
    const { run } = counter()
    const call = { rpc: 'Join', key: 'k', ttlMs: 1000, run }
    expect(await cache.once(call)).toBe(1)
    clock.advance(999)
    expect(await cache.once(call)).toBe(1)
    expect(await cache.once({ ...call, rpc: 'Leave' })).toBe(2)
    clock.advance(1)
    expect(await cache.once(call)).toBe(3)
  })

  it('forgets errors and answers that are not kept', async () => {
    const cache = new IdempotencyCache({ clock: new ManualClock() })
    const { run } = counter()
    const call = { rpc: 'Join', key: 'k', ttlMs: 1000 }
    await expect(cache.once({ ...call, run: () => Promise.reject(new Error('no')) })).rejects.toThrow('no')
    expect(await cache.once({ ...call, run, isKept: () => false })).toBe(1)
    expect(await cache.once({ ...call, run })).toBe(2)
    expect(await cache.once({ ...call, run })).toBe(2)
  })

  it('lets a duplicate wait for the first, but not for ever', async () => {
    const clock = new ManualClock()
    const cache = new IdempotencyCache({ clock, waitMs: 5000 })
    const first = Promise.withResolvers<string>()
    const call = { rpc: 'Join', key: 'k', ttlMs: 60_000, run: () => first.promise }
    const original = cache.once(call)
    const patient = cache.once(call)
    const late = cache.once(call)
    clock.advance(5000)
    await expect(late).rejects.toMatchObject({ code: 'UNAVAILABLE', message: 'IDEMPOTENCY_IN_PROGRESS' })
    await expect(patient).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    const third = cache.once(call)
    first.resolve('done')
    expect([await original, await third]).toEqual(['done', 'done'])
  })

  it('refuses blank and endless keys, and stays within its bound', async () => {
    const cache = new IdempotencyCache({ clock: new ManualClock(), maxEntries: 3 })
    const { run, runs } = counter()
    const once = (key: string) => cache.once({ rpc: 'Join', key, ttlMs: 1000, run })
    await expect(once(' ')).rejects.toMatchObject({ message: 'MISSING_IDEMPOTENCY_KEY' })
    await expect(once('x'.repeat(513))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    for (const key of ['a', 'b', 'c', 'd']) await once(key)
    expect(cache.size).toBe(3)
    await once('d')
    expect(runs()).toBe(4)
    await once('a')
    expect(runs()).toBe(5)
  })
})
