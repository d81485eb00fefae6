/** A failover that lost messages, and a client that comes back before any instance has noticed. */
import { startRedis } from '@gw/testing'
import { describe, expect, test } from 'vitest'
import { describeBroker } from './contract.ts'
import { openRedis } from './redis-place.ts'
import { Recorder } from './recorder.ts'

const channel = 'long:failover'

/** Three messages on both Redis; two more on the old one alone; and then three on the new one, at the lost places and behind. */
async function loseTwo(onNewMaster: 'keep' | 'reset') {
  // A replica need not wait for others to come along.
  const old = await startRedis({ args: ['--repl-diskless-sync-delay', '0'] })
  const fresh = await startRedis()
  const place = openRedis(old.url)
  const admin = place.client(fresh.url)
  await admin.replicaof('127.0.0.1', old.port)
  const before = place.connect({ onNewMaster })
  const shared = []
  for (const text of ['1', '2', '3']) shared.push(await before.publish(channel, text))
  expect(await place.client().wait(1, 10_000)).toBe(1)
  await admin.replicaof('NO', 'ONE')
  const lost = [await before.publish(channel, '4 lost'), await before.publish(channel, '5 lost')]
  await old.kill('SIGKILL')
  // An instance that saw nothing of the old master.
  const after = place.connect({ url: fresh.url, onNewMaster })
  const first = await after.publish(channel, '4')
  const again = [first, await after.publish(channel, '5'), await after.publish(channel, '6')]
  return {
    after,
    shared,
    lost,
    first,
    again,
    async [Symbol.asyncDispose]() {
      await place[Symbol.asyncDispose]()
      for (const server of [old, fresh]) server.stop()
    },
  }
}

test('`reset`: neither a lost position nor a shared one is recovered, and those of the new master are', async () => {
  await using failover = await loseTwo('reset')
  const { after, shared, lost, first, again } = failover
  expect(new Set(again.map(({ epoch }) => epoch)).size).toBe(1)
  expect(again.map(({ seq }) => seq)).toEqual([1, 2, 3])
  for (const since of [...shared, ...lost]) {
    const subscription = await after.subscribe(channel, new Recorder(), { since })
    expect([since.seq, subscription.recovered]).toEqual([since.seq, false])
    expect(await after.read(channel, { since })).toMatchObject({ complete: false })
  }
  const recorder = new Recorder()
  const subscription = await after.subscribe(channel, recorder, { since: first })
  expect(subscription.recovered).toBe(true)
  subscription.start()
  await recorder.count(2)
  expect(recorder.texts).toEqual(['5', '6'])
})

test('`reset`: it is told by the first read as well, before anything is published', async () => {
  await using old = await startRedis()
  await using place = openRedis(old.url)
  const before = place.connect({ onNewMaster: 'reset' })
  const { epoch, seq } = await before.publish(channel, '1')
  const admin = place.client()
  // What a promotion changes, on a master of its own: another replication id over the same data.
  await admin.replicaof('127.0.0.1', 1)
  await admin.replicaof('NO', 'ONE')
  const subscription = await before.subscribe(channel, new Recorder(), { since: { epoch, seq } })
  expect(subscription.recovered).toBe(false)
  expect(subscription.epoch).not.toBe(epoch)
  expect(await before.publish(channel, '2')).toMatchObject({ epoch: subscription.epoch, seq: 1 })
})

test('`keep`: a shared position is recovered, and so is a lost one that was given again, which nobody can tell', async () => {
  await using failover = await loseTwo('keep')
  const { after, shared, lost } = failover
  for (const since of [...shared, ...lost])
    expect((await after.subscribe(channel, new Recorder(), { since })).recovered).toBe(true)
})

describe('broker on one Redis whose epochs end with their master', () => {
  describeBroker(async () => {
    const place = openRedis()
    return { ...place, connect: () => place.connect({ onNewMaster: 'reset' }) }
  })
})
