import { expect, test } from 'vitest'
import { createLineLimit } from '../src/observe/line-limit.ts'

test('lets the first of each kind through, then one in a while, with how many came meanwhile', () => {
  let nowMs = 5
  const limit = createLineLimit({ everyMs: 100, now: () => nowMs })
  expect([limit('a'), limit('a'), limit('a'), limit('b')]).toEqual([1, 0, 0, 1])
  nowMs += 99
  expect(limit('a')).toBe(0)
  nowMs += 1
  expect([limit('a'), limit('a'), limit('b')]).toEqual([4, 0, 1])
})
