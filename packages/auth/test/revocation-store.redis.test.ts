import { randomUUID } from 'node:crypto'
import { createLink } from '@gw/testing'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { RedisRevocationStore, type RedisRevocationStoreOptions } from '../src/redis.ts'
import { nowMs } from './make-token.ts'
import { testRevocationStore } from './revocation-store.suite.ts'

let redis: Redis
beforeAll(() => {
  redis = new Redis(inject('redisUrl'))
})
afterAll(async () => {
  await redis.quit()
})

const revocation = { kind: 'subject', value: 'u1', issuedBeforeMs: nowMs } as const
const victim = { subject: 'u1', issuedAtMs: nowMs - 1 }

async function open(
  options: Partial<RedisRevocationStoreOptions>,
): Promise<RedisRevocationStore & AsyncDisposable> {
  const store = new RedisRevocationStore({ redis, now: () => nowMs, ...options })
  await store.whenReady()
  return Object.assign(store, { [Symbol.asyncDispose]: () => store.close() })
}

/** Resolves when the store learns of a revocation that hits the victim. */
function learned(store: RedisRevocationStore): Promise<void> {
  return new Promise((resolve) => {
    store.onRevoked(({ value }) => {
      if (value === victim.subject) resolve()
    })
  })
}

describe('RedisRevocationStore', () => {
  testRevocationStore({
    open: (options) => new RedisRevocationStore({ redis, prefix: randomUUID(), ...options }),
  })

  it('reaches every other instance by push, long before a poll', async () => {
    const prefix = randomUUID()
    const pollMs = 3_600_000
    await using one = await open({ prefix, pollMs })
    await using other = await open({ prefix, pollMs })
    const before = performance.now()
    const heard = learned(other)
    // The subscription may still be on its way: revoke again, wider, until the other instance hears of it.
    let wider = nowMs
    const repeat = setInterval(() => void one.revoke({ ...revocation, issuedBeforeMs: wider++ }), 20)
    await heard
    clearInterval(repeat)
    // The poll is an hour away; the margin is for a busy machine.
    expect(performance.now() - before).toBeLessThan(5000)
    expect(other.isRevoked(victim)).toBe(true)
  })

  it('reaches an instance whose subscription is dead within a poll', async () => {
    const prefix = randomUUID()
    await using one = await open({ prefix })
    const silent = {
      call: (command: string, ...args: (string | number)[]): Promise<unknown> => redis.call(command, ...args),
      duplicate: () => new Redis({ host: '127.0.0.1', port: 1, lazyConnect: true, retryStrategy: null }),
    }
    const failures: string[] = []
    await using other = await open({
      prefix,
      redis: silent,
      pollMs: 20,
      onEvent: (event) => failures.push(event.type === 'store_failed' ? event.operation : event.type),
    })
    const heard = learned(other)
    await one.revoke(revocation)
    await heard
    expect(other.isRevoked(victim)).toBe(true)
    expect(failures).toContain('subscribe')
  })

  it('tells an instance that starts later, page by page', async () => {
    const prefix = randomUUID()
    await using one = await open({ prefix })
    await Promise.all(
      Array.from({ length: 1203 }, (_, index) => one.revoke({ ...revocation, value: `user-${index}` })),
    )
    await using late = await open({ prefix })
    const missing = Array.from({ length: 1203 }, (_, index) => `user-${index}`).filter(
      (subject) => !late.isRevoked({ subject, issuedAtMs: 0 }),
    )
    expect(missing).toEqual([])
  })

  it('puts back what it knows when Redis lost it', async () => {
    const prefix = randomUUID()
    const restored = Promise.withResolvers<void>()
    await using one = await open({
      prefix,
      pollMs: 20,
      onEvent: ({ type }) => type === 'store_restored' && restored.resolve(),
    })
    await one.revoke(revocation)
    const log = `${prefix}:{revocations}:log`
    await redis.del(log)
    await restored.promise
    expect(one.isRevoked(victim)).toBe(true)
    await using late = await open({ prefix })
    expect(late.isRevoked(victim)).toBe(true)
  })

  it('leaves no key without a TTL', async () => {
    const prefix = randomUUID()
    await using one = await open({ prefix, retentionMs: 60_000 })
    await one.revoke(revocation)
    await one.claimOnce('id', nowMs + 5000)
    const keys = await redis.keys(`${prefix}:*`)
    const ttls = await Promise.all(keys.map((key) => redis.pttl(key)))
    expect(keys).toHaveLength(2)
    for (const ttl of ttls) expect(ttl).toBeGreaterThan(0)
  })

  it('fails within its deadline behind a dead link, keeps what it knows, and catches up', async () => {
    const prefix = randomUUID()
    await using link = await createLink({ target: inject('redisUrl') })
    const far = new Redis(link.url, { maxRetriesPerRequest: null })
    far.on('error', () => {})
    await using one = await open({ prefix, redis: far, pollMs: 20, timeoutMs: 100 })
    await using other = await open({ prefix })
    await one.revoke(revocation)
    link.blackhole()
    const late = one.revoke({ ...revocation, value: 'u2' })
    await expect(late).rejects.toMatchObject({ code: 'store_unavailable' })
    expect(one.isRevoked(victim)).toBe(true)
    await other.revoke({ ...revocation, value: 'u3' })
    expect(one.isRevoked({ subject: 'u3' })).toBe(false)
    link.restore()
    await expect.poll(() => one.isRevoked({ subject: 'u3' }), { timeout: 5000 }).toBe(true)
    far.disconnect()
  })
})
