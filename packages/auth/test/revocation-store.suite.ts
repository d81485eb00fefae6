import { afterEach, expect, it } from 'vitest'
import { type Revocation, type RevocationStore } from '../src/index.ts'
import { nowMs } from './make-token.ts'

export interface StoreUnderTest {
  /** Another instance that shares the state; the same store where state is not shared. */
  readonly open: (options: { now: () => number; retentionMs: number; capacity: number }) => RevocationStore
}

const hour = 3_600_000

/** The contract of `RevocationStore`, run on every implementation. */
export function testRevocationStore({ open }: StoreUnderTest): void {
  let timeMs = nowMs
  let stores: RevocationStore[] = []
  const create = async (capacity = 100): Promise<RevocationStore> => {
    const store = open({ now: () => timeMs, retentionMs: hour, capacity })
    stores.push(store)
    await store.whenReady()
    return store
  }
  afterEach(async () => {
    await Promise.all(stores.map((store) => store.close()))
    stores = []
    timeMs = nowMs
  })
  const subject = (value: string, issuedBeforeMs = nowMs): Revocation => ({
    kind: 'subject',
    value,
    issuedBeforeMs,
  })

  it('hits tokens of the target issued before the instant, and no others', async () => {
    const store = await create()
    await store.revoke(subject('u1'))
    await store.revoke({ kind: 'session', value: 's1', issuedBeforeMs: nowMs })
    await store.revoke({ kind: 'token', value: 't1', issuedBeforeMs: nowMs })
    const issuedAtMs = nowMs - 1
    expect(store.isRevoked({ subject: 'u1', issuedAtMs })).toBe(true)
    expect(store.isRevoked({ subject: 'u1' })).toBe(true)
    expect(store.isRevoked({ subject: 'u1', issuedAtMs: nowMs })).toBe(false)
    expect(store.isRevoked({ subject: 's1', issuedAtMs })).toBe(false)
    expect(store.isRevoked({ subject: 'u2', sessionId: 's1', issuedAtMs })).toBe(true)
    expect(store.isRevoked({ subject: 'u2', tokenId: 't1', issuedAtMs })).toBe(true)
    expect(store.isRevoked({ subject: 'u2', sessionId: 's2', tokenId: 's1', issuedAtMs })).toBe(false)
  })

  it('keeps the wider of two revocations, and tells each listener once per widening', async () => {
    const store = await create()
    const told: Revocation[] = []
    const stop = store.onRevoked((revocation) => told.push(revocation))
    await store.revoke(subject('u1', nowMs))
    await store.revoke(subject('u1', nowMs - 5000))
    await store.revoke(subject('u1', nowMs + 1000))
    stop()
    await store.revoke(subject('u2'))
    expect(told).toEqual([subject('u1', nowMs), subject('u1', nowMs + 1000)])
    expect(store.isRevoked({ subject: 'u1', issuedAtMs: nowMs })).toBe(true)
  })

  it('forgets a revocation after the retention', async () => {
    const store = await create(1)
    await store.revoke(subject('u1'))
    timeMs += hour - 1
    expect(store.isRevoked({ subject: 'u1', issuedAtMs: 0 })).toBe(true)
    timeMs += 1
    expect(store.isRevoked({ subject: 'u1', issuedAtMs: 0 })).toBe(false)
  })

  it('says so when it is full, and keeps what it has', async () => {
    const store = await create(2)
    await store.revoke(subject('u1'))
    await store.revoke(subject('u2'))
    await expect(store.revoke(subject('u3'))).rejects.toMatchObject({ code: 'revocations_full' })
    expect(store.isRevoked({ subject: 'u1' })).toBe(true)
    expect(store.isRevoked({ subject: 'u3' })).toBe(false)
  })

  it('lets an id be claimed once', async () => {
    const store = await create()
    expect(await store.claimOnce('a', timeMs + 60_000)).toBe(true)
    expect(await store.claimOnce('a', timeMs + 60_000)).toBe(false)
    expect(await store.claimOnce('b', timeMs + 60_000)).toBe(true)
  })

  it('is in sync when ready, and closes twice', async () => {
    const store = await create()
    expect(store.isReady()).toBe(true)
    expect(store.lastSyncMs()).toBe(timeMs)
    await store.close()
    await store.close()
  })
}
