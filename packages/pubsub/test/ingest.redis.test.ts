import { createLink, startRedis } from '@gw/testing'
import { expect, test } from 'vitest'
import { createIngest, type Ingest } from '@gw/pubsub/redis'
import { Recorder } from './recorder.ts'
import { openRedis, type RedisPlace } from './redis-place.ts'

/** An instance: hears the foreign channel `in`, lines of `<channel> <text>`. */
function startInstance(place: RedisPlace, url?: string): { ingest: Ingest; join: () => Promise<Recorder> } {
  const where = url === undefined ? {} : { url }
  const broker = place.connect({ ...where, timeoutMs: 400 })
  const ingest = createIngest({
    client: place.client(url),
    broker,
    channel: 'in',
    timeoutMs: 400,
    verifyIntervalMs: 100,
    onEvent: (event) => void place.events.push(event),
    parse: (raw) => {
      const [channel, data, idempotencyKey] = raw.toString().split(' ')
      if (channel === 'broken') throw new Error('not for us')
      if (channel === undefined || data === undefined) return undefined
      return idempotencyKey === undefined ? { channel, data } : { channel, data, idempotencyKey }
    },
  })
  return {
    ingest,
    join: async () => {
      const recorder = new Recorder()
      ;(await broker.subscribe('long:1', recorder)).start()
      return recorder
    },
  }
}

test('what every instance hears enters the log once, in order, and repeats are messages of their own', async () => {
  await using redis = await startRedis()
  await using place = openRedis(redis.url)
  const instances = [startInstance(place), startInstance(place), startInstance(place)]
  const recorders = await Promise.all(instances.map(async ({ join }) => join()))
  const backend = place.client()
  await expect.poll(async () => backend.call('PUBSUB', 'NUMSUB', 'in')).toEqual(['in', 3])
  const texts = Array.from({ length: 400 }, (_, at) => `v${at % 7 === 0 ? 'same' : at}`)
  await backend.publish('in', 'broken x')
  await backend.publish('in', 'nothing')
  await Promise.all(texts.map(async (text) => backend.publish('in', `long:1 ${text}`)))
  for (const recorder of recorders) {
    await recorder.count(texts.length)
    expect(recorder.texts).toEqual(texts)
  }
  await Promise.all([1, 2].map(async () => backend.publish('in', 'long:1 named key')))
  await backend.publish('in', 'long:1 end')
  await recorders[0]?.until(({ texts: seen }) => seen.includes('vend') || seen.includes('end'))
  expect(recorders[0]?.texts.slice(texts.length)).toEqual(['named', 'end'])
  expect(place.events.filter((event) => event.type === 'error' && event.stage === 'ingest')).toHaveLength(3)
  for (const { ingest } of instances) {
    await expect.poll(() => ingest.pending).toBe(0)
    ingest.close()
  }
})

test('a state that comes back to an earlier one is not taken for it', async () => {
  await using redis = await startRedis()
  await using place = openRedis(redis.url)
  const instances = [startInstance(place), startInstance(place)]
  const recorder = await instances[0]?.join()
  const backend = place.client()
  await expect.poll(async () => backend.call('PUBSUB', 'NUMSUB', 'in')).toEqual(['in', 2])
  for (const text of ['a', 'b', 'a', 'a', 'b']) await backend.publish('in', `long:1 ${text}`)
  await recorder?.count(5)
  // One that comes later counts from one, and must neither double nor swallow.
  instances.push(startInstance(place))
  await expect.poll(async () => backend.call('PUBSUB', 'NUMSUB', 'in')).toEqual(['in', 3])
  for (const text of ['a', 'b', 'end']) await backend.publish('in', `long:1 ${text}`)
  await recorder?.until(({ texts }) => texts.includes('end'))
  expect(recorder?.texts).toEqual(['a', 'b', 'a', 'a', 'b', 'a', 'b', 'end'])
  for (const { ingest } of instances) ingest.close()
})

test('an instance with a shaky or a silent link neither loses nor doubles what another one heard', async () => {
  await using redis = await startRedis()
  await using link = await createLink({ target: redis.url })
  await using place = openRedis(redis.url)
  const [steady, shaky] = [startInstance(place), startInstance(place, link.url)]
  const recorders = [await steady.join(), await shaky.join()]
  const backend = place.client()
  const heardBy = async (count: number): Promise<void> =>
    expect.poll(async () => backend.call('PUBSUB', 'NUMSUB', 'in'), { timeout: 5000 }).toEqual(['in', count])
  await heardBy(2)
  let sent = 0
  const send = async (count: number): Promise<void> => {
    for (let at = 0; at < count; at++) await backend.publish('in', `long:1 ${++sent}`)
  }
  await send(100)
  link.cut()
  await heardBy(1)
  await send(100)
  link.restore()
  await heardBy(2)
  await send(100)
  link.blackhole('down')
  await send(100)
  await expect
    .poll(() => place.events.some((event) => event.type === 'link' && event.status === 'rebuilt'), {
      timeout: 5000,
    })
    .toBe(true)
  link.restore()
  await send(100)
  for (const recorder of recorders) {
    await recorder.count(500)
    expect(recorder.texts).toEqual(Array.from({ length: 500 }, (_, at) => String(at + 1)))
  }
  steady.ingest.close()
  shaky.ingest.close()
})
