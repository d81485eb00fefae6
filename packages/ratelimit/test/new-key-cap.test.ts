import { expect, test } from 'vitest'
import { NewKeyCap } from '../src/new-key-cap.ts'

function admitted(cap: NewKeyCap, keys: readonly string[], nowMs: number): number {
  return keys.filter((key) => cap.admits(key, nowMs)).length
}

const keys = (name: string, count: number): string[] => Array.from({ length: count }, (_, at) => name + at)

test('admits so many new keys in a second, and those it has seen always', () => {
  const cap = new NewKeyCap({ perSecond: 5, keepMs: 10_000 })
  expect(admitted(cap, keys('a', 20), 1_000_000)).toBe(5)
  expect(admitted(cap, keys('a', 20), 1_000_999)).toBe(5)
  expect(admitted(cap, keys('b', 20), 1_001_000)).toBe(5)
  expect(admitted(cap, [...keys('a', 5), ...keys('b', 5)], 1_001_000)).toBe(10)
})

test('a key in use stays known; one that was not seen for twice as long is new', () => {
  const cap = new NewKeyCap({ perSecond: 1, keepMs: 10_000 })
  let nowMs = 1_000_000
  expect(cap.admits('used', nowMs)).toBe(true)
  expect(cap.admits('idle', nowMs + 1000)).toBe(true)
  for (let turn = 0; turn < 10; turn += 1) {
    nowMs += 9000
    expect(cap.admits('used', nowMs)).toBe(true)
    // Takes the place of this second, so that only what is known gets through.
    cap.admits(`other${turn}`, nowMs)
    expect(cap.admits('used', nowMs)).toBe(true)
  }
  expect(cap.admits('idle', nowMs)).toBe(false)
})

test('remembers no more keys than it may, whatever comes', () => {
  const cap = new NewKeyCap({ perSecond: 1_000_000, keepMs: 3_600_000, maxKeys: 100 })
  for (const key of keys('k', 5000)) {
    cap.admits(key, 1_000_000)
    expect(cap.size).toBeLessThanOrEqual(101)
  }
  expect(cap.size).toBeGreaterThanOrEqual(50)
})
