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
})
