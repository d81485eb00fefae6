import { freePort, createLink, startRedis } from '@gw/testing'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import type { Broker } from '@gw/pubsub'
import { expectGapless } from './invariants.ts'
import { Recorder } from './recorder.ts'
import { startPublisher } from './publisher.ts'
import { openRedis } from './redis-place.ts'

const fast = { timeoutMs: 400, probeIntervalMs: 100, probeTimeoutMs: 500, checkIntervalMs: 300 }

async function join(broker: Broker, channel: string): Promise<Recorder> {
  const recorder = new Recorder()
  ;(await broker.subscribe(channel, recorder)).start()
  return recorder
}

test('a broker made while Redis is away refuses with a code, and works when Redis comes', async () => {
  const port = await freePort()
  await using place = openRedis(`redis://127.0.0.1:${port}`)
  const broker = place.connect(fast)
  expect(broker.health()).toMatchObject({ ok: false })
  const start = performance.now()
  await expect(broker.publish('room', 'x')).rejects.toMatchObject({ code: 'unavailable', retryable: true })
  await expect(broker.subscribe('room', new Recorder())).rejects.toMatchObject({ code: 'unavailable' })
  await expect(broker.read('room')).rejects.toMatchObject({ code: 'unavailable' })
  expect(performance.now() - start).toBeLessThan(10 * fast.timeoutMs)
  await using redis = await startRedis({ args: ['--port', String(port)] })
  expect(redis.pid).toBeGreaterThan(0)
  await expect.poll(() => broker.health().ok, { timeout: 5000 }).toBe(true)
  const recorder = await join(broker, 'room')
  await broker.publish('room', 'y')
  await recorder.count(1)
  expect(recorder.texts).toEqual(['y'])
})

test('killed and restarted empty, Redis begins a new epoch and every subscriber is told', async () => {
  await using redis = await startRedis()
  await using place = openRedis(redis.url)
  const [a, b] = [place.connect(fast), place.connect(fast)]
  const recorders = [await join(a, 'room'), await join(b, 'room')]
  const before = await a.publish('room', 'before')
  await Promise.all(recorders.map(async (recorder) => recorder.count(1)))
  await redis.kill('SIGKILL')
  await expect(a.publish('room', 'lost')).rejects.toMatchObject({ code: 'unavailable' })
  await redis.restart()
  for (const recorder of recorders) await recorder.until(({ resets }) => resets.length > 0)
  await expect.poll(() => a.health().ok, { timeout: 5000 }).toBe(true)
  await a.publish('room', 'after')
  for (const recorder of recorders) {
    await recorder.count(2)
    expect(recorder.texts).toEqual(['before', 'after'])
    expect(recorder.resets).toHaveLength(1)
    expect(recorder.resets[0]?.epoch).not.toBe(before.epoch)
  }
  const back = await b.subscribe('room', new Recorder(), { since: before })
  expect(back.recovered).toBe(false)
})

test('killed subscriber connections lose, double and invert nothing', async () => {
  await using redis = await startRedis()
  await using place = openRedis(redis.url)
  const admin = place.client()
  const [a, b] = [place.connect(fast), place.connect(fast)]
  const recorders = [await join(a, 'long:1'), await join(b, 'long:1')]
  const publisher = startPublisher(a, 'long:1')
  for (let cut = 1; cut <= 5; cut++) {
    const seen = recorders[0]?.items.length ?? 0
    await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await recorders[0]?.count(seen + 300)
  }
  const sent = await publisher.stop()
  for (const recorder of recorders) {
    await recorder.count(sent)
    expect(recorder.resets).toEqual([])
    expectGapless(recorder)
    expect(recorder.texts).toEqual(Array.from({ length: sent }, (_, at) => String(at + 1)))
  }
  expect(place.events.filter(({ type }) => type === 'resubscribed').length).toBeGreaterThanOrEqual(5)
  const live = `{${place.prefix}:long:1}:live`
  await expect.poll(async () => admin.call('PUBSUB', 'NUMSUB', live), { timeout: 5000 }).toEqual([live, 2])
})

test('a hung Redis is noticed, calls stay bounded, and nothing is lost when it goes on', async () => {
  await using redis = await startRedis()
  await using place = openRedis(redis.url)
  const [a, b] = [place.connect(fast), place.connect(fast)]
  const recorder = await join(b, 'room')
  await a.publish('room', '1')
  await recorder.count(1)
  await expect.poll(() => a.health().ok).toBe(true)
  await redis.kill('SIGSTOP')
  const start = performance.now()
  await expect(a.publish('room', '2', { idempotencyKey: '2' })).rejects.toMatchObject({ code: 'unavailable' })
  expect(performance.now() - start).toBeLessThan(10 * fast.timeoutMs)
  await expect.poll(() => b.health().ok, { timeout: 5000 }).toBe(false)
  await expect
    .poll(() => place.events.some((event) => event.type === 'link' && event.status === 'rebuilt'), {
      timeout: 5000,
    })
    .toBe(true)
  const refused = performance.now()
  await expect(a.publish('room', '3', { idempotencyKey: '3' })).rejects.toMatchObject({ code: 'unavailable' })
  expect(performance.now() - refused).toBeLessThan(fast.timeoutMs)
  await redis.kill('SIGCONT')
  await expect.poll(() => a.health().ok && b.health().ok, { timeout: 5000 }).toBe(true)
  for (const text of ['2', '3']) await a.publish('room', text, { idempotencyKey: text })
  await recorder.count(3)
  expect(recorder.texts).toEqual(['1', '2', '3'])
  expect(recorder.resets).toEqual([])
})

test('a link that stays open and brings nothing is replaced, and what it withheld is read', async () => {
  await using redis = await startRedis()
  await using link = await createLink({ target: redis.url })
  await using place = openRedis(redis.url)
  const [publisher, behind] = [place.connect(fast), place.connect({ ...fast, url: link.url })]
  const recorder = await join(behind, 'room')
  await publisher.publish('room', '1')
  await recorder.count(1)
  link.blackhole('down')
  for (const text of ['2', '3']) await publisher.publish('room', text)
  await expect.poll(() => behind.health().ok, { timeout: 5000 }).toBe(false)
  expect(recorder.texts).toEqual(['1'])
  link.restore()
  await recorder.count(3)
  await expect.poll(() => behind.health().ok, { timeout: 5000 }).toBe(true)
  expect(recorder.texts).toEqual(['1', '2', '3'])
  expect(recorder.resets).toEqual([])
})

test('links cut again and again under load: every message once, in one order', async () => {
  await using redis = await startRedis()
  await using link = await createLink({ target: redis.url })
  await using place = openRedis(redis.url)
  const [steady, shaky] = [place.connect(fast), place.connect({ ...fast, url: link.url })]
  const recorders = [await join(steady, 'long:1'), await join(shaky, 'long:1')]
  const publisher = startPublisher(steady, 'long:1')
  for (let cut = 1; cut <= 4; cut++) {
    const seen = recorders[1]?.items.length ?? 0
    link.drop()
    await recorders[1]?.count(seen + 200)
  }
  const sent = await publisher.stop()
  for (const recorder of recorders) {
    await recorder.count(sent)
    expect(recorder.resets).toEqual([])
    expectGapless(recorder)
    expect(recorder.messages).toHaveLength(sent)
  }
})

test('a gap that outlives the log is a reset, never a silent hole', async () => {
  await using redis = await startRedis()
  await using link = await createLink({ target: redis.url })
  await using place = openRedis(redis.url)
  const [steady, shaky] = [place.connect(fast), place.connect({ ...fast, url: link.url })]
  const recorder = await join(shaky, 'short:1')
  await steady.publish('short:1', '1')
  await recorder.count(1)
  link.cut()
  for (let n = 2; n <= 20; n++) await steady.publish('short:1', String(n))
  link.restore()
  await recorder.until(({ resets }) => resets.length > 0)
  expect(recorder.resets).toMatchObject([{ reason: 'trimmed', seq: 20 }])
  await steady.publish('short:1', '21')
  await recorder.count(2)
  expect(recorder.texts).toEqual(['1', '21'])
})

test('idle channels are compared many at a time, and only those that moved unheard are told', async () => {
  await using redis = await startRedis()
  await using place = openRedis(redis.url)
  const client = place.client()
  const broker = place.connect({ ...fast, probeIntervalMs: 60_000, probeTimeoutMs: 120_000 })
  const channels = Array.from({ length: 250 }, (_, at) => `room-${at}`)
  const recorders = new Map<string, Recorder>()
  for (const channel of channels) recorders.set(channel, await join(broker, channel))
  const scripts = async (): Promise<number> =>
    Number(/cmdstat_evalsha:calls=(\d+)/.exec(await client.info('commandstats'))?.[1])
  const before = await scripts()
  await client.hset(`{${place.prefix}:room-7}:meta`, 's', 3)
  await client.del(`{${place.prefix}:room-249}:meta`)
  const moved = ['room-7', 'room-249'].map((channel) => recorders.get(channel) ?? new Recorder())
  await Promise.all(moved.map(async (recorder) => recorder.until(({ resets }) => resets.length > 0)))
  expect((await scripts()) - before).toBeLessThan(50)
  expect(moved.map(({ resets }) => resets.map(({ reason }) => reason))).toEqual([['trimmed'], ['epoch']])
  expect([...recorders.values()].filter(({ resets }) => resets.length > 0)).toHaveLength(2)
  for (const channel of channels)
    expect(await client.pttl(`{${place.prefix}:${channel}}:meta`)).toBeGreaterThan(0)
})

test('scripts that Redis forgets cost a second call, not a message or its place', async () => {
  await using redis = await startRedis()
  await using place = openRedis(redis.url)
  const admin = place.client()
  const broker = place.connect(fast)
  const recorder = await join(broker, 'room')
  const texts = Array.from({ length: 200 }, (_, at) => String(at))
  await Promise.all(
    texts.map(async (text, at) => {
      if (at % 20 === 0) void admin.script('FLUSH')
      await broker.publish('room', text)
    }),
  )
  await recorder.count(200)
  expect(recorder.texts).toEqual(texts)
})

test('a log that went back in time ends its epoch, so that used numbers are never mistaken', async () => {
  await using redis = await startRedis()
  await using place = openRedis(redis.url)
  const admin = place.client()
  const broker = place.connect({ ...fast, checkIntervalMs: 60_000 })
  const recorder = await join(broker, 'room')
  let last = await broker.publish('room', '1')
  for (const n of ['2', '3', '4']) last = await broker.publish('room', n)
  await recorder.count(4)
  // What a failover to a replica that had not heard of 3 and 4 leaves behind.
  const key = `{${place.prefix}:room}`
  await admin.hset(`${key}:meta`, 's', '2', 't', String(Date.now() - 1000))
  await admin.call('XDEL', `${key}:log`, '3-0', '4-0')
  await admin.call('XSETID', `${key}:log`, '2-0')
  await admin.call('CONFIG', 'RESETSTAT')
  await expect.poll(() => Date.now()).toBeGreaterThan(recorder.messages.at(-1)?.publishedAtMs ?? 0)
  await broker.publish('room', 'other 3')
  await recorder.until(({ resets }) => resets.length > 0)
  expect(recorder.resets[0]?.epoch).not.toBe(last.epoch)
  const back = await broker.subscribe('room', new Recorder(), { since: last })
  expect(back.recovered).toBe(false)
})

test('a full Redis refuses the publish and breaks nothing', async () => {
  await using redis = await startRedis()
  await using place = openRedis(redis.url)
  const admin = place.client()
  const broker = place.connect(fast)
  const recorder = await join(broker, 'room')
  await broker.publish('room', '1')
  await admin.config('SET', 'maxmemory', '1')
  await expect(broker.publish('room', '2')).rejects.toMatchObject({ code: 'unavailable' })
  await admin.config('SET', 'maxmemory', '0')
  await broker.publish('room', '3')
  await recorder.count(2)
  expect(recorder.texts).toEqual(['1', '3'])
  expectGapless(recorder)
})

test('upstream subscriptions end a while after the last subscriber, and no key is without an end', async () => {
  await using redis = await startRedis()
  await using place = openRedis(redis.url)
  const admin = place.client()
  const broker = place.connect({ ...fast, lingerMs: 50 })
  const recorder = new Recorder()
  const subscription = await broker.subscribe('room', recorder)
  subscription.start()
  await broker.publish('room', '1', { idempotencyKey: 'k' })
  await broker.publish('typing:1', '1')
  await broker.relay('room', Buffer.from('x'), { key: 'x', count: 1, heardAtMs: performance.now() })
  await broker.read('only read')
  await recorder.count(2)
  subscription.close()
  await expect.poll(() => broker.stats(), { timeout: 5000 }).toEqual({ channels: 0, subscriptions: 0 })
  const live = `{${place.prefix}:room}:live`
  await expect.poll(async () => admin.call('PUBSUB', 'NUMSUB', live)).toEqual([live, 0])
  const keys = await admin.keys('*')
  expect(keys.length).toBeGreaterThanOrEqual(6)
  for (const key of keys) expect(await admin.pttl(key), key).toBeGreaterThan(0)
})

test('a client with a keyPrefix or options that cannot work are refused at construction', async () => {
  await using place = openRedis('redis://127.0.0.1:1')
  const client = new Redis({ lazyConnect: true, keyPrefix: 'app:' })
  expect(() => place.connect({ client })).toThrow(expect.objectContaining({ code: 'invalid' }))
  expect(() => place.connect({ prefix: 'a{b}' })).toThrow(expect.objectContaining({ code: 'invalid' }))
  expect(() => place.connect({ timeoutMs: 0 })).toThrow(expect.objectContaining({ code: 'invalid' }))
})
