import { randomUUID } from 'node:crypto'
import { Cluster, Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { ChatError } from '@gw/chat'
import { RedisChatStore } from '@gw/chat/redis'
import { startRedisCluster } from '@gw/testing'
import { chatStoreContract } from './chat-store-contract.ts'

const redis = new Redis(inject('redisUrl'))
const message = { id: '1', userId: 'u', username: 'U', text: 't', ts: '2026-11-22T09:48:50.453Z' }

afterAll(() => redis.disconnect())

function newPrefix(): string {
  return `test:${randomUUID()}`
}

chatStoreContract(
  'RedisChatStore',
  (options) => new RedisChatStore({ redis, prefix: newPrefix(), ...options }),
)

describe('on Redis Cluster', () => {
  let stop: () => void
  let cluster: Cluster

  beforeAll(async () => {
    const nodes = await startRedisCluster()
    cluster = new Cluster([...nodes.seeds])
    stop = () => {
      cluster.disconnect()
      nodes.stop()
    }
  })

  afterAll(() => stop())

  chatStoreContract(
    'RedisChatStore',
    (options) => new RedisChatStore({ redis: cluster, prefix: newPrefix(), ...options }),
  )
})

describe('RedisChatStore', () => {
  test('leaves no key without a TTL, and all keys of a room under one hash tag', async () => {
    const prefix = newPrefix()
    const store = new RedisChatStore({ redis, prefix })
    await store.save({ roomId: 'r}1', message, idempotencyKey: '["u","k"]' })
    const keys = await redis.keys(`${prefix}:*`)
    expect(keys).toHaveLength(3)
    const tags = keys.map((key) => /\{(.*?)\}/.exec(key)?.[1])
    expect(new Set(tags)).toEqual(new Set(['r%7D1']))
    for (const key of keys) expect(await redis.pttl(key)).toBeGreaterThan(0)
  })

  test('remembers a client message id no longer than it says', async () => {
    const prefix = newPrefix()
    const store = new RedisChatStore({ redis, prefix, idempotencyMs: 60_000 })
    await store.save({ roomId: 'r', message, idempotencyKey: 'k' })
    expect(await redis.pttl(`${prefix}:{r}:sent:k`)).toBeLessThanOrEqual(60_000)
  })

  test('goes on with a room in which a version before had deleted messages', async () => {
    const prefix = newPrefix()
    const store = new RedisChatStore({ redis, prefix })
    for (const id of ['1', '2', '3']) await store.save({ roomId: 'r', message: { ...message, id } })
    await redis.hdel(`${prefix}:{r}:texts`, '1', '3')
    expect(await store.delete('r', '3')).toBe('already_deleted')
    await store.save({ roomId: 'r', message: { ...message, id: '4' } })
    const { messages } = await store.read({ roomId: 'r', limit: 9 })
    expect(messages.map(({ id }) => id)).toEqual(['2', '4'])
    expect(await redis.zrange(`${prefix}:{r}:ids`, '0', '-1')).toEqual(['2', '3', '4'])
  })

  test('leaves nothing of a deleted message once it is too old, and a TTL until then', async () => {
    const prefix = newPrefix()
    let now = 1000
    const store = new RedisChatStore({ redis, prefix, now: () => now })
    await store.save({ roomId: 'r', message })
    await store.delete('r', message.id)
    const texts = `${prefix}:{r}:texts`
    expect(await redis.hvals(texts)).toEqual(['1000'])
    expect(await redis.pttl(texts)).toBeGreaterThan(0)
    now += 86_400_000
    await store.save({ roomId: 'r', message: { ...message, id: '2' } })
    expect(await redis.hkeys(texts)).toEqual(['2'])
  })

  test('works after Redis forgot its scripts', async () => {
    const store = new RedisChatStore({ redis, prefix: newPrefix() })
    await store.save({ roomId: 'r', message })
    await redis.script('FLUSH')
    expect((await store.save({ roomId: 'r', message: { ...message, id: '2' } })).duplicate).toBe(false)
    await redis.script('FLUSH')
    expect((await store.read({ roomId: 'r', limit: 9 })).messages).toHaveLength(2)
  })

  test('throws store_failed with the cause when Redis is gone', async () => {
    const gone = new Redis({
      host: '127.0.0.1',
      port: 1,
      lazyConnect: true,
      retryStrategy: () => null,
      enableOfflineQueue: false,
    })
    gone.on('error', () => {})
    const store = new RedisChatStore({ redis: gone })
    await expect(store.read({ roomId: 'r', limit: 1 })).rejects.toMatchObject({ code: 'store_failed' })
    gone.disconnect()
  })

  test('gives up after its deadline when Redis does not answer', async () => {
    const silent = { eval: () => new Promise<never>(() => {}), evalsha: () => new Promise<never>(() => {}) }
    const store = new RedisChatStore({ redis: silent, timeoutMs: 5 })
    await expect(store.trim('r')).rejects.toMatchObject({ code: 'timeout' })
  })

  test('says when a stored entry is none of ours', async () => {
    const prefix = newPrefix()
    await redis.zadd(`${prefix}:{r}:ids`, 1, 'x')
    await redis.hset(`${prefix}:{r}:texts`, 'x', `${Date.now()} {"id":"x"}`)
    const store = new RedisChatStore({ redis, prefix })
    await expect(store.read({ roomId: 'r', limit: 1 })).rejects.toMatchObject({ code: 'corrupt_entry' })
  })

  test('refuses a prefix that would break the hash tag', () => {
    expect(() => new RedisChatStore({ redis, prefix: 'a{b}' })).toThrow(ChatError)
  })
})
