import { expect, test } from 'vitest'
import { OccurrenceCounter } from '../src/redis/occurrence-counter.ts'

test('counts what is heard again, learns what others took, and forgets after 30 s of silence', () => {
  const counter = new OccurrenceCounter()
  expect([counter.hear('a', 0), counter.hear('a', 1000), counter.hear('b', 2000)]).toEqual([1, 2, 1])
  counter.learn('a', 7)
  counter.learn('a', 3)
  counter.learn('never heard', 3)
  expect(counter.hear('a', 3000)).toBe(8)
  expect(counter.hear('a', 33_001)).toBe(1)
  expect(counter.size).toBe(1)
})

test('is bounded', () => {
  const counter = new OccurrenceCounter()
  for (let at = 0; at < 60_000; at++) counter.hear(String(at), 0)
  expect(counter.size).toBeLessThanOrEqual(50_001)
})
