import { randomUUID } from 'node:crypto'
import { createLink } from '@gw/testing'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { RedisRevocationStore, type RedisRevocationStoreOptions } from '../src/redis.ts'
import { brokenRetention } from './broken-retention.ts'
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

  it.each([
    ...brokenRetention,
    // No entry of the log is older than the clock itself: Redis refuses the trim, and with it each revocation.
    { retentionMs: 1e13 },
    { pollMs: 2 ** 31 },
    { timeoutMs: Number.NaN },
    { timeoutMs: 2 ** 31 },
  ])('refuses %o before it opens anything', (options) => {
    const unused = {
      call: async (): Promise<unknown> => undefined,
      duplicate: (): Redis => {
        throw new Error('opened')
      },
    }
    expect(() => new RedisRevocationStore({ redis: unused, ...options })).toThrow(
      expect.objectContaining({ code: 'bad_option' }),
    )
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

  it('notices a loss after which others were revoked, before its next read', async () => {
    const prefix = randomUUID()
    const restored = Promise.withResolvers<number>()
    await using one = await open({ prefix })
    await using other = await open({
      prefix,
      pollMs: 20,
      onEvent: (event) => event.type === 'store_restored' && restored.resolve(event.revocations),
    })
    const heard = learned(other)
    await one.revoke(revocation)
    await heard
    await one.close()
    const log = `${prefix}:{revocations}:log`
    const entry = ['kind', 'subject', 'value', 'u2', 'before', nowMs, 'until', nowMs + 60_000]
    await redis
      .multi()
      .del(log)
      .xadd(log, '*', ...entry)
      .exec()
    expect(await restored.promise).toBe(1)
    await using late = await open({ prefix })
    for (const store of [other, late])
      for (const subject of ['u1', 'u2']) expect(store.isRevoked({ subject, issuedAtMs: 0 })).toBe(true)
  })

  it('notices that its own revocation was lost before it was read', async () => {
    const prefix = randomUUID()
    const restored = Promise.withResolvers<void>()
    const log = `${prefix}:{revocations}:log`
    const revoked = Promise.withResolvers<void>()
    let reads = 0
    const call = async (command: string, ...args: (string | number)[]): Promise<unknown> => {
      // The first read makes it ready; the others wait until the log is gone.
      if (command === 'XRANGE' && ++reads > 1) await revoked.promise
      return await redis.call(command, ...args)
    }
    await using one = await open({
      prefix,
      redis: { call, duplicate: () => redis.duplicate() },
      pollMs: 20,
      timeoutMs: 10_000,
      onEvent: ({ type }) => type === 'store_restored' && restored.resolve(),
    })
    await one.revoke(revocation)
    await redis.del(log)
    revoked.resolve()
    await restored.promise
    expect(await redis.xlen(log)).toBe(1)
  })

  it('goes on putting back what it knows after that broke off', async () => {
    const prefix = randomUUID()
    const restored = Promise.withResolvers<void>()
    const failures: string[] = []
    let appends = Infinity
    const call = async (command: string, ...args: (string | number)[]): Promise<unknown> => {
      if (command === 'EVAL' && appends-- === 0) throw new Error('link cut')
      return await redis.call(command, ...args)
    }
    await using one = await open({
      prefix,
      redis: { call, duplicate: () => redis.duplicate() },
      pollMs: 20,
      onEvent(event) {
        if (event.type === 'store_failed') failures.push(event.operation)
        if (event.type === 'store_restored') restored.resolve()
      },
    })
    const subjects = Array.from({ length: 600 }, (_, index) => `user-${index}`)
    await Promise.all(subjects.map((value) => one.revoke({ ...revocation, value })))
    appends = 1
    await redis.del(`${prefix}:{revocations}:log`)
    await restored.promise
    expect(failures).toContain('restore')
    await using late = await open({ prefix })
    expect(subjects.filter((subject) => !late.isRevoked({ subject, issuedAtMs: 0 }))).toEqual([])
  })

  it('puts each back once, however many instances know it', async () => {
    const prefix = randomUUID()
    const restored = Promise.withResolvers<void>()
    let count = 0
    const onEvent: RedisRevocationStoreOptions['onEvent'] = (event) => {
      if (event.type !== 'store_restored') return
      count += event.revocations
      if (count >= 1100) restored.resolve()
    }
    await using one = await open({ prefix, pollMs: 20, onEvent })
    const revoked = Array.from({ length: 1100 }, (_, index) => ({ ...revocation, value: `user-${index}` }))
    await Promise.all(revoked.map((each) => one.revoke(each)))
    await using _two = await open({ prefix, pollMs: 20, onEvent })
    await using _three = await open({ prefix, pollMs: 20, onEvent })
    const log = `${prefix}:{revocations}:log`
    await redis.del(log)
    await restored.promise
    expect([count, await redis.xlen(log)]).toEqual([1100, 1100])
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
