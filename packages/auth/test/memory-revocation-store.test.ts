import { describe, expect, it } from 'vitest'
import { MemoryRevocationStore } from '../src/index.ts'
import { brokenRetention } from './broken-retention.ts'
import { nowMs } from './make-token.ts'
import { testRevocationStore } from './revocation-store.suite.ts'

describe('MemoryRevocationStore', () => {
  testRevocationStore({ open: (options) => new MemoryRevocationStore(options) })

  it.each(brokenRetention)('refuses %o', (options) => {
    expect(() => new MemoryRevocationStore(options)).toThrow(expect.objectContaining({ code: 'bad_option' }))
  })

  it('makes room for one-time ids that are over', async () => {
    let timeMs = nowMs
    const store = new MemoryRevocationStore({ capacity: 2, now: () => timeMs })
    await store.claimOnce('a', timeMs + 10)
    await store.claimOnce('b', timeMs + 20)
    await expect(store.claimOnce('c', timeMs + 30)).rejects.toMatchObject({ code: 'revocations_full' })
    timeMs += 10
    expect(await store.claimOnce('c', timeMs + 30)).toBe(true)
    expect(await store.claimOnce('b', timeMs + 30)).toBe(false)
  })
})
