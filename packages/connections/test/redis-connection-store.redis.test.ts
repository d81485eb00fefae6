import { createLink, startRedis } from '@gw/testing'
import { Redis } from 'ioredis'
import { describe, expect, inject, it } from 'vitest'
import type { ReapedConnections } from '@gw/connections'
import { idsOf, stored, testConnectionStore } from './connection-store.suite.ts'
import { openRedisPlace, type RedisPlace } from './store-place.ts'

testConnectionStore(() => openRedisPlace(inject('redisUrl')))

/** Asks again until it is so; the test's own time limit ends it. */
async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 10))
}

/** All keys of a place and how long they last. */
async function keysOf(place: RedisPlace): Promise<{ key: string; ttlMs: number }[]> {
  const redis = place.client()
  const keys: string[] = []
  let cursor = '0'
  do {
    const [next, page] = await redis.scan(cursor, 'MATCH', `${place.prefix}*`, 'COUNT', 1000)
    keys.push(...page)
    cursor = next
  } while (cursor !== '0')
  return Promise.all(keys.map(async (key) => ({ key, ttlMs: await redis.pttl(key) })))
}

const leaseMs = 1000

describe('several instances', () => {
  it('see each other’s connections, and delete only their own', async () => {
    await using place = openRedisPlace(inject('redisUrl'))
    const [a, b] = [place.open('a'), place.open('b')]
    await a.save(stored('1', 'u'))
    await b.save(stored('2', 'u'))
    await a.addChannel('1', 'x')
    await b.addChannel('2', 'x')
    expect(idsOf(await a.getByUser('u'))).toEqual(['1', '2'])
    expect(idsOf(await b.getByChannel('x'))).toEqual(['1', '2'])
    expect(idsOf(await b.getMany(['1', '2', '3']))).toEqual(['1', '2'])
    expect(await b.get('1')).toMatchObject({ connectionId: '1', instanceId: 'a' })
    expect(await b.delete('1')).toBe(false)
    expect(await a.get('1')).toBeDefined()
    expect([...(await a.liveInstances())].sort()).toEqual(['a', 'b'])
    await b.close()
    expect(idsOf(await a.getByUser('u'))).toEqual(['1'])
    expect(await a.liveInstances()).toEqual(['a'])
  })

  it('clean up behind one that dies: within the lease, every connection once, on one of them', async () => {
    await using place = openRedisPlace(inject('redisUrl'))
    const dying = new Redis(inject('redisUrl'))
    const victim = place.open('victim', { redis: dying, leaseMs })
    const saved = Array.from({ length: 450 }, async (_, at) => victim.save(stored(String(at), `u${at}`)))
    await Promise.all(saved)
    const reaped: string[] = []
    const gone = Promise.withResolvers<void>()
    const survivor = place.open('a', { leaseMs })
    // Any of the living may be the one that cleans up: each of them listens.
    for (const store of [survivor, ...['b', 'c', 'd'].map((name) => place.open(name, { leaseMs }))])
      store.listen({
        onReaped({ connections, instanceId }) {
          expect(instanceId).toBe('victim')
          reaped.push(...idsOf(connections))
          if (reaped.length >= 450) gone.resolve()
        },
      })
    await until(async () => (await survivor.liveInstances()).length === 5)
    const diedAtMs = performance.now()
    dying.disconnect()
    await gone.promise
    expect(performance.now() - diedAtMs).toBeLessThan(leaseMs + 2500)
    expect(await survivor.getByUser('u7')).toEqual([])
    await until(async () => (await keysOf(place)).every(({ key }) => !key.includes('{victim')))
    expect(new Set(reaped).size).toBe(450)
    expect(reaped).toHaveLength(450)
  })

  it('try again when a listener fails, so that no end is lost', async () => {
    await using place = openRedisPlace(inject('redisUrl'))
    const dying = new Redis(inject('redisUrl'))
    await place.open('victim', { redis: dying, leaseMs }).save(stored('1', 'u'))
    const heard: ReapedConnections[] = []
    const again = Promise.withResolvers<void>()
    place.open('a', { leaseMs }).listen({
      async onReaped(reaped) {
        heard.push(reaped)
        if (heard.length === 1) throw new Error('not now')
        again.resolve()
      },
    })
    dying.disconnect()
    await again.promise
    expect(heard.map(({ connections }) => idsOf(connections))).toEqual([['1'], ['1']])
  })

  it('keep apart: one that was taken for dead comes back and erases nothing that is newer', async () => {
    await using place = openRedisPlace(inject('redisUrl'))
    await using link = await createLink({ target: inject('redisUrl') })
    const a = place.open('a', { redis: place.client(link.url), leaseMs, timeoutMs: 300 })
    const b = place.open('b', { leaseMs })
    await a.save(stored('1', 'u'))
    await a.save(stored('2', 'v'))
    const reaped = Promise.withResolvers<ReapedConnections>()
    b.listen({ onReaped: (lost) => reaped.resolve(lost) })
    const rebuilt = new Promise<void>((resolve) => a.listen({ onRebuilt: resolve }))
    link.blackhole()
    expect(idsOf((await reaped.promise).connections)).toEqual(['1', '2'])
    await b.save(stored('3', 'u'))
    await a.delete('1').catch(() => {})
    link.restore()
    await rebuilt
    expect(idsOf(await b.getByUser('u'))).toEqual(['3'])
    expect(idsOf(await b.getByUser('v'))).toEqual(['2'])
    expect([...(await b.liveInstances())].sort()).toEqual(['a', 'b'])
  })
})

describe('Redis fails', () => {
  it('absent: every call says unavailable within its deadline, and all is written when it comes', async () => {
    await using server = await startRedis()
    await using place = openRedisPlace(server.url)
    await server.kill('SIGKILL')
    const store = place.open('a', { leaseMs, timeoutMs: 200 })
    const before = performance.now()
    const calls = [
      store.save(stored('1', 'u')),
      store.getByUser('u'),
      store.getByChannel('x'),
      store.liveInstances(),
    ]
    for (const outcome of await Promise.allSettled(calls))
      expect(outcome).toMatchObject({ reason: { code: 'unavailable', retryable: true } })
    expect(performance.now() - before).toBeLessThan(5000)
    await server.restart()
    await until(async () => idsOf(await store.getByUser('u').catch(() => [])).includes('1'))
    expect(place.events.map(({ type }) => type)).toContain('unavailable')
  })

  it('hangs: calls end at their deadline, and nothing late undoes what came after', async () => {
    await using server = await startRedis()
    await using place = openRedisPlace(server.url)
    const store = place.open('a', { leaseMs, timeoutMs: 200 })
    await store.save(stored('1', 'u'))
    await server.kill('SIGSTOP')
    await expect(store.save(stored('2', 'u'))).rejects.toMatchObject({ code: 'unavailable' })
    await expect(store.delete('2')).rejects.toMatchObject({ code: 'unavailable' })
    await server.kill('SIGCONT')
    await until(() =>
      store.save(stored('3', 'u')).then(
        () => true,
        () => false,
      ),
    )
    expect(idsOf(await store.getByUser('u'))).toEqual(['1', '3'])
  })

  it.each(['FLUSHALL', 'restart'])('loses everything by %s: rebuilt from memory', async (loss) => {
    await using server = await startRedis()
    await using place = openRedisPlace(server.url)
    const store = place.open('a', { leaseMs, timeoutMs: 200 })
    for (const id of ['1', '2']) {
      await store.save(stored(id, 'u'))
      await store.addChannel(id, 'x')
    }
    const rebuilt = new Promise<void>((resolve) => store.listen({ onRebuilt: resolve }))
    if (loss === 'restart') await server.restart()
    else await place.client().flushall()
    await rebuilt
    expect(idsOf(await store.getByUser('u'))).toEqual(['1', '2'])
    expect(idsOf(await store.getByChannel('x'))).toEqual(['1', '2'])
  })

  it.each(['conns', 'users', 'channels', 'lease'])('evicts the key %s: rebuilt from memory', async (name) => {
    await using place = openRedisPlace(inject('redisUrl'))
    const store = place.open('a', { leaseMs })
    await store.save(stored('1', 'u'))
    await store.addChannel('1', 'x')
    const rebuilt = new Promise<void>((resolve) => store.listen({ onRebuilt: resolve }))
    for (const { key } of await keysOf(place)) if (key.endsWith(name)) await place.client().del(key)
    await rebuilt
    expect(idsOf(await store.getByUser('u'))).toEqual(['1'])
    expect(idsOf(await store.getByChannel('x'))).toEqual(['1'])
  })

  it('forgets its scripts: nobody notices', async () => {
    await using server = await startRedis()
    await using place = openRedisPlace(server.url)
    const store = place.open('a')
    await store.save(stored('1', 'u'))
    await place.client().script('FLUSH')
    await store.save(stored('2', 'u'))
    expect(idsOf(await store.getByUser('u'))).toEqual(['1', '2'])
    expect(place.events).toEqual([])
  })
})

it('leaves no key without an end, none at all after close, and refreshes no connection by itself', async () => {
  await using place = openRedisPlace(inject('redisUrl'))
  let commands = 0
  const redis = place.client()
  const counted = {
    async call(command: string, ...args: (string | number)[]): Promise<unknown> {
      commands++
      return redis.call(command, ...args)
    },
  }
  const store = place.open('a', { redis: counted, leaseMs })
  const saved = Array.from({ length: 1000 }, async (_, at) => {
    await store.save(stored(String(at), `u${at % 10}`))
    await store.addChannel(String(at), `x${at % 7}`)
  })
  await Promise.all(saved)
  const keys = await keysOf(place)
  expect(keys.length).toBeGreaterThanOrEqual(5)
  expect(keys.filter(({ ttlMs }) => ttlMs <= 0)).toEqual([])
  const before = commands
  const until = performance.now() + leaseMs
  while (performance.now() < until) await new Promise((resolve) => setTimeout(resolve, leaseMs / 10))
  // Five beats of two commands, whatever the number of connections.
  expect(commands - before).toBeLessThanOrEqual(14)
  await store.close()
  expect(await keysOf(place)).toEqual([])
})

it('refuses settings that make no sense', async () => {
  await using place = openRedisPlace(inject('redisUrl'))
  expect(() => place.open('a}b')).toThrow(expect.objectContaining({ code: 'invalid' }))
  for (const options of [
    { leaseMs: 10 },
    { leaseMs: 10_000.05 },
    { leaseMs: Infinity },
    { timeoutMs: Infinity },
    { maxPending: Number.NaN },
  ])
    expect(() => place.open('a', options)).toThrow(expect.objectContaining({ code: 'invalid' }))
})

it('tells who saves while it closes, also when Redis has lost the lease', async () => {
  await using place = openRedisPlace(inject('redisUrl'))
  const store = place.open('a')
  await store.save(stored('1', 'u'))
  for (const { key } of await keysOf(place)) if (key.endsWith('lease')) await place.client().del(key)
  // Under way when the store closes, and not taken: there is no lease to write under.
  const saving = store.save(stored('2', 'u'))
  const closing = store.close()
  await expect(saving).rejects.toMatchObject({ code: 'closed' })
  await closing
})
