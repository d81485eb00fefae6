import { randomUUID } from 'node:crypto'
import { startRedisSentinel, type TestRedisSentinel } from '@gw/testing'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createRedisBroker, type RedisBroker, type RedisBrokerOptions } from '@gw/pubsub/redis'
import { classes, describeBroker } from './contract.ts'
import { expectGapless } from './invariants.ts'
import { startPublisher } from './publisher.ts'
import { Recorder } from './recorder.ts'

const channel = 'long:sentinel'
let closing: (() => unknown)[] = []

/** Notices trouble soon. */
const alert = { timeoutMs: 500, probeIntervalMs: 200, probeTimeoutMs: 1000, checkIntervalMs: 500 }

function connectTo(
  { seeds, name }: TestRedisSentinel,
  options: Omit<RedisBrokerOptions, 'client'>,
): RedisBroker {
  const client = new Redis({ sentinels: [...seeds], name, maxRetriesPerRequest: null })
  client.on('error', () => {})
  const broker = createRedisBroker({ client, classes, ...options })
  closing.push(async () => {
    await broker.close()
    client.disconnect()
  })
  return broker
}

afterEach(async () => {
  for (const close of closing.toReversed()) await close()
  closing = []
})

test.each([
  ['the master is killed', async ({ nodes }: TestRedisSentinel) => nodes[0]?.kill('SIGKILL')],
  ['a Sentinel is asked for another master', async (sentinel: TestRedisSentinel) => sentinel.failover()],
] as const)(
  'goes on by itself when %s: what is lost is announced, nothing is doubled',
  { timeout: 90_000 },
  async (...[, trouble]) => {
    await using sentinel = await startRedisSentinel()
    const prefix = `t-${randomUUID()}`
    const [a, b] = [connectTo(sentinel, { prefix, ...alert }), connectTo(sentinel, { prefix, ...alert })]
    const recorders = await Promise.all(
      [a, b].map(async (broker) => {
        const recorder = new Recorder()
        ;(await broker.subscribe(channel, recorder)).start()
        return recorder
      }),
    )
    const publisher = startPublisher(a, channel)
    await Promise.all(recorders.map(async (recorder) => recorder.count(50)))
    await trouble(sentinel)
    const replica = new Redis(sentinel.nodes[1]?.url ?? '')
    closing.push(() => replica.disconnect())
    await expect.poll(async () => replica.call('ROLE'), { timeout: 30_000 }).toContain('master')
    const before = recorders.map(({ items }) => items.length)
    await Promise.all(
      recorders.map(async (recorder, at) =>
        recorder.until(({ items }) => items.length >= (before[at] ?? 0) + 50, 30_000),
      ),
    )
    const sent = await publisher.stop()
    await Promise.all(
      recorders.map(async (recorder) => recorder.until(({ texts }) => texts.includes(String(sent)), 30_000)),
    )
    for (const recorder of recorders) expectGapless(recorder)
    const [first, second] = recorders
    if (first?.resets.length === 0 && second?.resets.length === 0) {
      expect(first.texts).toEqual(second.texts)
      expect(first.texts).toEqual(Array.from({ length: sent }, (_, at) => String(at + 1)))
    }
  },
)

describe.each(['keep', 'reset'] as const)(
  'broker on a Redis that Sentinels name, onNewMaster: %s',
  (onNewMaster) => {
    let sentinel: TestRedisSentinel
    beforeAll(async () => {
      sentinel = await startRedisSentinel()
    }, 60_000)
    afterAll(() => sentinel.stop())

    describeBroker(async () => {
      const prefix = `t-${randomUUID()}`
      return {
        shared: true,
        connect: () => connectTo(sentinel, { prefix, onNewMaster }),
        // Closed behind each test.
        async [Symbol.asyncDispose]() {},
      }
    })
  },
)
