import { randomUUID } from 'node:crypto'
import { startRedisCluster, type TestRedis, type TestRedisCluster } from '@gw/testing'
import { Cluster, Redis } from 'ioredis'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { BrokerEvent } from '@gw/pubsub'
import { createRedisBroker, type RedisBroker } from '@gw/pubsub/redis'
import { keySlot } from '../src/redis/key-slot.ts'
import { classes } from './contract.ts'
import { expectGapless } from './invariants.ts'
import { startPublisher } from './publisher.ts'
import { Recorder } from './recorder.ts'

const channels = Array.from({ length: 9 }, (_, at) => `long:${at}`)
let cluster: TestRedisCluster
let closing: (() => unknown)[] = []
let events: BrokerEvent[] = []

beforeEach(async () => {
  cluster = await startRedisCluster({ masters: 3, replicas: 3, nodeTimeoutMs: 1000 })
  events = []
  closing = [() => cluster.stop()]
})
afterEach(async () => {
  for (const close of closing.toReversed()) await close()
})

function connect(prefix: string): { broker: RedisBroker; client: Cluster } {
  const client = new Cluster([...cluster.seeds], { slotsRefreshInterval: 1000, slotsRefreshTimeout: 500 })
  client.on('error', () => {})
  const broker = createRedisBroker({
    client,
    prefix,
    classes,
    timeoutMs: 500,
    probeIntervalMs: 200,
    probeTimeoutMs: 1000,
    checkIntervalMs: 500,
    onEvent: (event) => void events.push(event),
  })
  closing.push(async () => {
    await broker.close()
    client.disconnect()
  })
  return { broker, client }
}

interface Load {
  readonly prefix: string
  readonly recorders: Recorder[][]
  readonly client: Cluster
  readonly stop: () => Promise<number[]>
}

/** Two instances with subscribers on channels of all shards, and a publisher for each channel. */
async function startLoad(): Promise<Load> {
  const prefix = `t-${randomUUID()}`
  const [a, b] = [connect(prefix), connect(prefix)]
  const recorders = await Promise.all(
    channels.map(async (channel) =>
      Promise.all(
        [a, b].map(async ({ broker }) => {
          const recorder = new Recorder()
          ;(await broker.subscribe(channel, recorder)).start()
          return recorder
        }),
      ),
    ),
  )
  const publishers = channels.map((channel) => startPublisher(a.broker, channel))
  await Promise.all(recorders.flat().map(async (recorder) => recorder.count(20)))
  return {
    prefix,
    recorders,
    client: b.client,
    stop: async () => Promise.all(publishers.map(async ({ stop }) => stop())),
  }
}

async function more(recorders: readonly Recorder[][], messages: number): Promise<void> {
  const waits = recorders.flat().map(async (recorder) => {
    const before = recorder.items.length
    await recorder.until(({ items }) => items.length >= before + messages, 30_000)
  })
  await Promise.all(waits)
}

function expectAll(recorders: readonly Recorder[][], sent: readonly number[]): void {
  for (const [at, pair] of recorders.entries())
    for (const recorder of pair) {
      expect(recorder.resets).toEqual([])
      expectGapless(recorder)
      expect(recorder.texts).toEqual(Array.from({ length: sent[at] ?? 0 }, (_, n) => String(n + 1)))
    }
}

async function arrive(recorders: readonly Recorder[][], sent: readonly number[]): Promise<void> {
  const last = recorders.flatMap((pair, at) =>
    pair.map(async (recorder) => recorder.until(({ texts }) => texts.includes(String(sent[at])), 30_000)),
  )
  await Promise.all(last)
}

async function ask(
  node: TestRedis | undefined,
  ...command: [string, ...(string | number)[]]
): Promise<unknown> {
  const client = new Redis(node?.url ?? '')
  try {
    return await client.call(...command)
  } finally {
    client.disconnect()
  }
}

test('a planned failover loses, doubles and inverts nothing', { timeout: 60_000 }, async () => {
  const { recorders, stop } = await startLoad()
  for (const replica of cluster.nodes.slice(3)) {
    await ask(replica, 'CLUSTER', 'FAILOVER')
    await expect.poll(async () => ask(replica, 'ROLE'), { timeout: 10_000 }).toContain('master')
    await more(recorders, 20)
  }
  const sent = await stop()
  await arrive(recorders, sent)
  expectAll(recorders, sent)
})

test('a slot that moves takes its channel along, without a loss', { timeout: 60_000 }, async () => {
  const { recorders, stop, client, prefix } = await startLoad()
  const [from, to] = cluster.nodes
  const ids = await Promise.all([from, to].map(async (node) => String(await ask(node, 'CLUSTER', 'MYID'))))
  const owner = `127.0.0.1:${from?.port}`
  const used = channels
    .map((channel) => keySlot(`{${prefix}:${channel}}`))
    .filter((slot) => client.slots[slot]?.[0] === owner)
  expect(used.length).toBeGreaterThan(0)
  for (const slot of used) {
    await ask(to, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', ids[0] ?? '')
    await ask(from, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', ids[1] ?? '')
    for (;;) {
      const keys = await ask(from, 'CLUSTER', 'GETKEYSINSLOT', slot, 100)
      if (!Array.isArray(keys) || keys.length === 0) break
      await ask(from, 'MIGRATE', '127.0.0.1', to?.port ?? 0, '', 0, 5000, 'KEYS', ...keys.map(String))
    }
    for (const node of [to, from, cluster.nodes[2]])
      await ask(node, 'CLUSTER', 'SETSLOT', slot, 'NODE', ids[1] ?? '')
  }
  await more(recorders, 50)
  const sent = await stop()
  await arrive(recorders, sent)
  expectAll(recorders, sent)
})

test(
  'a killed master: what is lost with it is announced, nothing is doubled',
  { timeout: 60_000 },
  async () => {
    const { recorders, stop } = await startLoad()
    await cluster.nodes[0]?.kill('SIGKILL')
    await more(recorders, 50)
    const sent = await stop()
    await arrive(recorders, sent)
    for (const recorder of recorders.flat()) expectGapless(recorder)
    for (const [a, b] of recorders)
      if (a?.resets.length === 0 && b?.resets.length === 0) expect(a.texts).toEqual(b.texts)
  },
)

test('a hung master is replaced and its channels go on', { timeout: 60_000 }, async () => {
  const { recorders, stop } = await startLoad()
  await cluster.nodes[0]?.kill('SIGSTOP')
  await more(recorders, 50)
  const sent = await stop()
  await arrive(recorders, sent)
  for (const recorder of recorders.flat()) expectGapless(recorder)
})
