import { freePort, createLink, startRedis } from '@gw/testing'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import type { Broker, BrokerEvent } from '@gw/pubsub'
import { createRedisBroker } from '@gw/pubsub/redis'
import { connectionSettings } from '../src/redis/connection-settings.ts'
import { brokenOptions } from './broken-options.ts'
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
  const back = (): number => place.events.filter(({ type }) => type === 'resubscribed').length
  for (let cut = 1; cut <= 5; cut++) {
    const [seen, backBefore] = [recorders[0]?.items.length ?? 0, back()]
    await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    // Before both are back the next kill would find nothing of them.
    await expect.poll(back, { timeout: 5000 }).toBeGreaterThanOrEqual(backBefore + 2)
    await recorders[0]?.count(seen + 300)
  }
  const sent = await publisher.stop()
  for (const recorder of recorders) {
    await recorder.count(sent)
    expect(recorder.resets).toEqual([])
    expectGapless(recorder)
    expect(recorder.texts).toEqual(Array.from({ length: sent }, (_, at) => String(at + 1)))
  }
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

test.each([
  ['is heard again below the head', '3'],
  ['is heard again at the head', '5'],
  ['is read when the link comes back', undefined],
])(
  'a log that went back to a clock that is behind ends its epoch when a lost number %s',
  async (_, heard) => {
    await using redis = await startRedis()
    await using place = openRedis(redis.url)
    const admin = place.client()
    const broker = place.connect({ ...fast, checkIntervalMs: 60_000 })
    const recorder = await join(broker, 'room')
    const key = `{${place.prefix}:room}`
    // The lost master's clock was ahead.
    await admin.hset(`${key}:meta`, 't', Date.now() + 5000)
    const { epoch } = await broker.publish('room', '1')
    for (const n of ['2', '3', '4', '5']) await broker.publish('room', n)
    await recorder.count(5)
    // Its replica had heard of 1 and 2, and gave 3 to 6 anew.
    const atMs = String(Date.now())
    const again = ['3', '4', '5', '6'].map((seq) => ({
      seq,
      envelope: `1 ${epoch} ${seq} ${atMs} -\nother ${seq}`,
    }))
    const change = admin.multi().xdel(`${key}:log`, '3-0', '4-0', '5-0').call('XSETID', `${key}:log`, '2-0')
    for (const { seq, envelope } of again) change.xadd(`${key}:log`, `${seq}-0`, 'a', atMs, 'b', envelope)
    await change.hset(`${key}:meta`, 's', '6', 't', atMs).exec()
    const live = again.find(({ seq }) => seq === heard)
    if (live === undefined) await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    else await admin.publish(`${key}:live`, live.envelope)
    await recorder.until(({ items }) => items.length > 5)
    expect(recorder.resets).toMatchObject([{ reason: 'epoch' }])
    const back = await broker.subscribe('room', new Recorder(), { since: { epoch, seq: 5 } })
    expect(back.recovered).toBe(false)
  },
)

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

test.each([
  ['OOM', ['CONFIG', 'SET', 'maxmemory', '1'], ['CONFIG', 'SET', 'maxmemory', '0']],
  [
    'NOREPLICAS',
    ['CONFIG', 'SET', 'min-replicas-to-write', '1'],
    ['CONFIG', 'SET', 'min-replicas-to-write', '0'],
  ],
  ['NOPERM', ['ACL', 'SETUSER', 'default', '-evalsha'], ['ACL', 'SETUSER', 'default', '+evalsha']],
  ['READONLY', ['REPLICAOF', '127.0.0.1', '1'], ['REPLICAOF', 'NO', 'ONE']],
] as const)(
  'a Redis that refuses messages with %s is not taken for a silent one: the subscriber link stays',
  async (code, [refuse, ...refuseArgs], [take, ...takeArgs]) => {
    await using redis = await startRedis()
    await using place = openRedis(redis.url)
    const admin = place.client()
    const broker = place.connect(fast)
    const recorder = await join(broker, 'room')
    await expect.poll(() => broker.health().ok, { timeout: 5000 }).toBe(true)
    const from = place.events.length
    await admin.call(refuse, ...refuseArgs)
    const since = (): BrokerEvent[] => place.events.slice(from)
    const refusals = (): number =>
      since().filter((event) => event.type === 'error' && event.stage === 'probe').length
    // Time for four rebuilds.
    await expect
      .poll(refusals, { timeout: 15_000 })
      .toBeGreaterThan((4 * fast.probeTimeoutMs) / fast.probeIntervalMs)
    expect(since().filter(({ type }) => type === 'link' || type === 'resubscribed')).toEqual([])
    expect(broker.health()).toMatchObject({ ok: false, reason: expect.stringContaining(code) })
    await admin.call(take, ...takeArgs)
    await expect.poll(() => broker.health().ok, { timeout: 5000 }).toBe(true)
    await broker.publish('room', '1')
    await recorder.until(({ texts }) => texts.includes('1'))
  },
)

test('a master that was demoted with its connections open is left for the new one', async () => {
  await using old = await startRedis({ args: ['--repl-diskless-sync-delay', '0'] })
  await using fresh = await startRedis()
  await using place = openRedis(old.url)
  const admin = place.client(fresh.url)
  await admin.replicaof('127.0.0.1', old.port)
  let { port } = old
  const client = place.client(old.url)
  // A name that leads to whoever is master now.
  client.duplicate = () => new Redis({ ...connectionSettings, host: '127.0.0.1', port })
  const broker = createRedisBroker({ client, prefix: place.prefix, ...fast })
  const recorder = await join(broker, 'room')
  await broker.publish('room', '1')
  // A client waits for what it sent itself.
  await client.publish('replicated', '')
  expect(await client.wait(1, 10_000)).toBe(1)
  await admin.replicaof('NO', 'ONE')
  port = fresh.port
  await client.replicaof('127.0.0.1', fresh.port)
  await expect
    .poll(async () => broker.publish('room', '2', { idempotencyKey: '2' }).catch(() => 'refused'), {
      timeout: 10_000,
    })
    .toMatchObject({ seq: 2 })
  const live = `{${place.prefix}:room}:live`
  await expect.poll(async () => admin.call('PUBSUB', 'NUMSUB', live), { timeout: 5000 }).toEqual([live, 1])
  await recorder.count(2)
  expect(recorder.texts).toEqual(['1', '2'])
  expect(recorder.resets).toEqual([])
  await broker.close()
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
})

test.each([
  ...brokenOptions,
  { timeoutMs: 0 },
  { timeoutMs: Infinity },
  { checkIntervalMs: 2 ** 31 },
  { probeIntervalMs: Infinity },
  { probeTimeoutMs: Number.NaN },
  { maxPending: 0 },
])('the options %o are refused before anything is opened', (options) => {
  const client = new Redis({ lazyConnect: true })
  client.duplicate = () => {
    throw new Error('opened')
  }
  expect(() => createRedisBroker({ client, ...options })).toThrow(
    expect.objectContaining({ code: 'invalid' }),
  )
})

test('an occurrence that is none is refused, and does not fail what is published beside it', async () => {
  await using place = openRedis()
  const broker = place.connect()
  const heard = { key: 'x', count: 1, heardAtMs: performance.now() }
  const outcomes = await Promise.allSettled([
    broker.relay('room', Buffer.from('good'), heard),
    broker.relay('room', Buffer.from('bad'), { ...heard, key: 'y', count: Number.NaN }),
    broker.relay('room', Buffer.from('bad'), { ...heard, key: 'z', heardAtMs: Number.NaN }),
  ])
  expect(outcomes).toMatchObject([
    { value: { seq: 1 } },
    { reason: { code: 'invalid' } },
    { reason: { code: 'invalid' } },
  ])
  expect((await broker.read('room')).messages.map(({ data }) => data.toString())).toEqual(['good'])
})
