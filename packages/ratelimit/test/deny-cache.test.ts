import { expect, test } from 'vitest'
import type { KeyDecision } from '../src/decision.ts'
import { DenyCache } from '../src/deny-cache.ts'
import { parsePolicies } from '../src/policy.ts'

const policy = parsePolicies([{ name: 'p', limit: 1, windowMs: 60_000 }]).get('p')

function refusalOf(key: string): KeyDecision {
  const waits = { retryAfterMs: 60_000, resetMs: 60_000, moreAfterMs: 60_000 }
  return { policy: 'p', key, allowed: false, limit: 1, remaining: 0, ...waits }
}

test('of ever new refused addresses it remembers those used last, and no more than it may', () => {
  if (policy === undefined) expect.unreachable()
  const cache = new DenyCache({ policy, maxKeys: 1000, maxAgeMs: 5000 })
  const total = 10_000
  for (let at = 0; at < total; at += 1) {
    cache.note(`ip:${at}`, { decision: refusalOf(`ip:${at}`), cost: 1 }, at / 4)
    // One that keeps coming is not pushed out by those that come once.
    if (at % 500 === 0) expect(cache.find('ip:0', undefined, at / 4)).toBeDefined()
  }
  expect(cache.size).toBe(1000)
  expect(cache.find(`ip:${total - 1}`, undefined, total / 4)).toBeDefined()
  expect(cache.find('ip:7', undefined, total / 4)).toBeUndefined()
})

test('asks the store again after maxAgeMs, however long the wait', () => {
  if (policy === undefined) expect.unreachable()
  const cache = new DenyCache({ policy, maxKeys: 10, maxAgeMs: 5000 })
  cache.note('k', { decision: refusalOf('k'), cost: 1 }, 0)
  expect(cache.find('k', undefined, 4999)?.retryAfterMs).toBe(55_001)
  expect(cache.find('k', undefined, 5000)).toBeUndefined()
})
