import { assert, double, integer, property } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { backoffDelay } from '@gw/client'

describe('backoffDelay', () => {
  test('doubles its bound up to the maximum', () => {
    const bounds = [0, 1, 2, 5, 6, 7, 2000].map((attempt) => backoffDelay(attempt, 0.9999999))
    expect(bounds).toEqual([499, 999, 1999, 15_999, 29_999, 29_999, 29_999])
  })

  test('is anywhere between nothing and the bound: full jitter', () => {
    assert(
      property(
        integer({ min: 0, max: 5000 }),
        double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (attempt, random) => {
          const delay = backoffDelay(attempt, random)
          return delay >= 0 && delay < 30_000 && Number.isInteger(delay)
        },
      ),
    )
    expect(backoffDelay(3, 0)).toBe(0)
  })
})
