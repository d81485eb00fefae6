import { collectGarbage } from '@gw/testing'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { TokenCache, type TokenCacheOptions } from '../src/token-cache.ts'

const end = 'e'.repeat(32)
const token = (name: string, length = 100): string => name.padEnd(length - 32, '.') + end
/** Tokens with an end of their own, as signatures have. */
const other = (name: string, length = 100): string => name.padEnd(length - 32, '.') + name.padStart(32, '-')

let nowMs = 0
const now = (): number => nowMs
const create = (options: Partial<TokenCacheOptions> = {}): TokenCache<string> =>
  new TokenCache({ maxEntries: 10, maxBytes: 10_000, sweepMs: 1000, now, ...options })

beforeEach(() => {
  nowMs = 0
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('TokenCache', () => {
  it('finds the very token only, also among those with the same end', () => {
    const cache = create()
    cache.set(token('a'), { value: 'A', untilMs: 1 })
    expect(cache.get(token('a'))).toBe('A')
    expect(cache.get(token('b'))).toBeUndefined()
    expect(cache.get(`x${token('a')}`)).toBeUndefined()
    expect(cache.get(end)).toBeUndefined()
    cache.set(token('b'), { value: 'B', untilMs: 1 })
    expect([cache.get(token('a')), cache.get(token('b')), cache.size]).toEqual([undefined, 'B', 1])
  })

  it('answers no more from untilMs on', () => {
    const cache = create()
    cache.set(token('a'), { value: 'A', untilMs: 5 })
    nowMs = 4
    expect(cache.get(token('a'))).toBe('A')
    nowMs = 5
    expect(cache.get(token('a'))).toBeUndefined()
  })

  it('holds no more than its entries, and evicts one that was not used', () => {
    const cache = create({ maxEntries: 3 })
    for (const name of ['a', 'b', 'c']) cache.set(other(name), { value: name, untilMs: 1 })
    cache.get(other('a'))
    cache.set(other('d'), { value: 'd', untilMs: 1 })
    expect(['a', 'b', 'c', 'd'].map((name) => cache.get(other(name)))).toEqual(['a', undefined, 'c', 'd'])
    // Now all are used: one full round, then the first of them goes.
    cache.set(other('e'), { value: 'e', untilMs: 1 })
    expect(cache.size).toBe(3)
    expect(cache.get(other('e'))).toBe('e')
  })

  it('holds no more than its bytes, and no token that is larger than all of them', () => {
    const cache = create({ maxBytes: 1000 })
    for (let index = 0; index < 50; index += 1) {
      cache.set(other(`${index}`, 100 + (index % 7) * 50), { value: 'x', untilMs: 1 })
      expect(cache.bytes).toBeLessThanOrEqual(1000)
    }
    expect(cache.size).toBeGreaterThan(1)
    const before = cache.size
    cache.set(other('large', 1001), { value: 'x', untilMs: 1 })
    expect(cache.size).toBe(before)
    // The same token again is counted once.
    for (let index = 0; index < 9; index += 1) cache.set(other('same', 500), { value: 'x', untilMs: 1 })
    expect(cache.get(other('same', 500))).toBe('x')
    cache.clear()
    expect([cache.size, cache.bytes]).toEqual([0, 0])
  })

  it('lets no token stay in memory that is over, and has no timer when it is empty', () => {
    const cache = create()
    expect(vi.getTimerCount()).toBe(0)
    cache.set(other('a'), { value: 'A', untilMs: 500 })
    cache.set(other('b'), { value: 'B', untilMs: 1500 })
    nowMs = 1000
    vi.advanceTimersByTime(1000)
    expect(cache.size).toBe(1)
    nowMs = 2000
    vi.advanceTimersByTime(1000)
    expect([cache.size, cache.bytes, vi.getTimerCount()]).toEqual([0, 0, 0])
    cache.set(other('c'), { value: 'C', untilMs: 2500 })
    expect(vi.getTimerCount()).toBe(1)
    cache.clear()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('holds nothing of what has left it, however many tokens came since', async () => {
    const cache = new TokenCache<object>({ maxEntries: 5000, maxBytes: 1e6, sweepMs: 1000, now })
    const first = new WeakRef({})
    const fill = (from: number): void => {
      for (let at = from; at < from + 100; at += 1)
        cache.set(other(`${at}`), { value: {}, untilMs: nowMs + 1 })
    }
    cache.set(other('first'), { value: first.deref() ?? {}, untilMs: 1 })
    for (let turn = 1; turn <= 20; turn += 1) {
      fill(turn * 100)
      nowMs += 1000
      vi.advanceTimersByTime(1000)
    }
    fill(0)
    expect(cache.size).toBe(100)
    vi.useRealTimers()
    await collectGarbage()
    expect(first.deref()).toBeUndefined()
    expect(cache.size).toBe(100)
  })

  it('evicts what a round of all entries would, whatever is set, used and over', () => {
    const step = fc.record({
      do: fc.constantFrom('set', 'use', 'sweep', 'clear'),
      key: fc.nat(9),
      life: fc.nat(3),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        nowMs = 0
        const cache = create({ maxEntries: 4 })
        /** From the next one on. */
        let round: { key: number; untilMs: number; used: boolean }[] = []
        for (const { do: what, key, life } of steps) {
          if (what === 'set') {
            round = round.filter((one) => one.key !== key)
            while (round.length >= 4) {
              const [next, ...others] = round
              round = next?.used ? [...others, { ...next, used: false }] : others
            }
            round.push({ key, untilMs: nowMs + life * 1000, used: false })
            cache.set(other(`${key}`), { value: `${key}`, untilMs: nowMs + life * 1000 })
          } else if (what === 'use') {
            const known = round.find((one) => one.key === key && one.untilMs > nowMs)
            if (known) known.used = true
            expect(cache.get(other(`${key}`))).toBe(known && `${key}`)
          } else if (what === 'sweep') {
            nowMs += 1000
            vi.advanceTimersByTime(1000)
          } else if (key === 0) {
            cache.clear()
            round = []
          }
          if (what === 'sweep') round = round.filter(({ untilMs }) => untilMs > nowMs)
          expect(cache.size).toBe(round.length)
        }
        vi.clearAllTimers()
      }),
    )
  })
})
