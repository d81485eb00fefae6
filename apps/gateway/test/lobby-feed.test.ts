import { createMemoryBroker, PubSubError } from '@gw/pubsub'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createLobbyFeed } from '../src/services/lobby-feed.ts'

beforeEach(() => {
  vi.useFakeTimers({ now: 0 })
})

afterEach(() => {
  vi.useRealTimers()
})

/** A channel with two instances' feeds; `said` is what its subscribers get. */
async function setUp() {
  const broker = createMemoryBroker()
  const said: string[] = []
  const subscription = await broker.subscribe('lobby', {
    onMessage: ({ data }) => void said.push(data.toString()),
    onReset() {},
  })
  subscription.start()
  const feeds = [createLobbyFeed({ broker, slotMs: 100 }), createLobbyFeed({ broker, slotMs: 100 })] as const
  return {
    said,
    feeds,
    async [Symbol.asyncDispose]() {
      for (const feed of feeds) feed.close()
      await broker.close()
    },
  }
}

test('a burst becomes two publications: the first at once, the newest in the next slot', async () => {
  await using place = await setUp()
  const [feed] = place.feeds
  const first = feed.publish('{"n":0}')
  await vi.advanceTimersByTimeAsync(0)
  expect(await first).toMatchObject({ seq: 1, duplicate: false })
  const rest = Array.from({ length: 50 }, (_, at) => feed.publish(`{"n":${at + 1}}`))
  await vi.advanceTimersByTimeAsync(99)
  expect(place.said).toEqual(['{"n":0}'])
  await vi.advanceTimersByTimeAsync(1)
  expect(place.said).toEqual(['{"n":0}', '{"n":50}'])
  expect(new Set((await Promise.all(rest)).map(({ seq }) => seq))).toEqual(new Set([2]))
})

test('the same content is not published again, however often it is heard; back to an older one is a change', async () => {
  await using place = await setUp()
  const [feed] = place.feeds
  for (const data of ['{"n":1}', '{"n":1}', '{"n":2}', '{"n":2}', '{"n":1}']) {
    const done = feed.publish(data)
    await vi.advanceTimersByTimeAsync(100)
    await done
  }
  expect(place.said).toEqual(['{"n":1}', '{"n":2}', '{"n":1}'])
})

test('instances that hear the same publications fill each slot once and agree in the end', async () => {
  await using place = await setUp()
  const published: Promise<unknown>[] = []
  for (let at = 0; at < 40; at++) {
    for (const feed of place.feeds) published.push(feed.publish(`{"n":${at}}`))
    await vi.advanceTimersByTimeAsync(10)
  }
  await vi.advanceTimersByTimeAsync(200)
  await Promise.all(published)
  // 400 ms of publications in slots of 100 ms, and what was left.
  expect(place.said.length).toBeLessThanOrEqual(6)
  expect(place.said.at(-1)).toBe('{"n":39}')
  expect(place.said).toEqual([...new Set(place.said)])
})

test('what could not be published gives way to what others have published since, and goes out when nobody has', async () => {
  const broker = createMemoryBroker()
  const said: string[] = []
  const subscription = await broker.subscribe('lobby', {
    onMessage: ({ data }) => void said.push(data.toString()),
    onReset() {},
  })
  subscription.start()
  let isCut = false
  const far = createLobbyFeed({
    slotMs: 100,
    broker: {
      publish: (...given) =>
        isCut ? Promise.reject(new PubSubError('unavailable', 'cut')) : broker.publish(...given),
      read: (...given) => broker.read(...given),
      subscribe: (...given) => broker.subscribe(...given),
    },
  })
  const near = createLobbyFeed({ broker, slotMs: 100 })
  async function publish(feed: typeof far, data: string, heardAtMs: number): Promise<unknown> {
    const done = feed.publish(data, heardAtMs).catch((error: unknown) => error)
    await vi.advanceTimersByTimeAsync(200)
    return done
  }
  await publish(far, '{"n":0}', 0)
  isCut = true
  expect(await publish(far, '{"n":1}', 1)).toBeInstanceOf(PubSubError)
  await publish(near, '{"n":1}', 1)
  await publish(near, '{"n":2}', 2)
  // Still away when it is tried the first time.
  expect(await publish(far, '{"n":1}', 1)).toMatchObject({ seq: 3, duplicate: true })
  expect(await publish(far, '{"n":3}', 3)).toBeInstanceOf(PubSubError)
  isCut = false
  expect(await publish(far, '{"n":3}', 3)).toMatchObject({ seq: 4, duplicate: false })
  // Said anew, it is news again.
  expect(await publish(far, '{"n":1}', 4)).toMatchObject({ seq: 5, duplicate: false })
  expect(said).toEqual(['{"n":0}', '{"n":1}', '{"n":2}', '{"n":3}', '{"n":1}'])
  for (const feed of [far, near]) feed.close()
  await broker.close()
})
