/** Redis full, slow, hung and emptied, and an instance that was away: what users of two gateways notice. */
import { createLink, startRedis } from '@gw/testing'
import { Redis } from 'ioredis'
import { afterAll, expect, test } from 'vitest'
import { startFleet } from './harness/fleet.ts'
import type { GatewayProcess } from './harness/platform.ts'
import { connectPlayer, type Player, signIn } from './harness/player.ts'

const redis = await startRedis()
const admin = new Redis(redis.url)
const link = await createLink({ target: redis.url })
const fleet = await startFleet({ redis, gateways: [{ REDIS_URL: link.url }, {}] })
/** `far` has the link between itself and Redis. */
const {
  gateways: [far, near],
} = fleet

afterAll(async () => {
  await fleet[Symbol.asyncDispose]()
  admin.disconnect()
  await link.close()
  redis.stop()
})

/** A table, watched by a user of each name on the instance given. */
async function watch(instance: GatewayProcess, userId: string, tableId?: string): Promise<[Player, string]> {
  const player = await connectPlayer(instance.wsUrl, userId)
  const table = tableId ?? (await near.createTable(userId))
  expect(await player.ask({ type: 'SubscribeTable', tableId: table })).toMatchObject({
    type: 'TableSnapshot',
  })
  expect(await player.ask({ type: 'SubscribeChat', tableId: table })).toMatchObject({
    type: 'ChatSubscribed',
  })
  return [player, table]
}

/** Sends the line until it is accepted: the answers to the tries before it. */
async function sayUntilAccepted(player: Player, tableId: string, message: string): Promise<string[]> {
  const refused: string[] = []
  await expect
    .poll(
      async () => {
        const answer = await player.ask({ type: 'ChatSend', tableId, message })
        if (answer.type !== 'Ack') refused.push(String(answer['reason'] ?? answer['code']))
        return answer.type
      },
      { timeout: 20_000 },
    )
    .toBe('Ack')
  return refused
}

test('a Redis that is full: calls are answered, limits are local, chat says unavailable; room again, and it goes on', async () => {
  const [player, tableId] = await watch(near, 'full-ann')
  await using _ = player
  await admin.config('SET', 'maxmemory-policy', 'noeviction')
  await admin.config('SET', 'maxmemory', '1')
  try {
    expect((await near.fetch('/api/tables', { userId: 'full-ann' })).status).toBe(200)
    expect(await player.ask({ type: 'ChatSend', tableId, message: 'no room' })).toMatchObject({
      type: 'ChatError',
      reason: 'unavailable',
    })
    expect((await near.fetch('/health')).status).toBe(200)
  } finally {
    await admin.config('SET', 'maxmemory', '0')
  }
  await sayUntilAccepted(player, tableId, 'room')
  expect(await player.next('ChatMessage')).toMatchObject({ message: { text: 'room' } })
})

test('a slow Redis: calls don’t wait for it, and the lines of a socket keep their order', async () => {
  const [player, tableId] = await watch(far, 'slow-ben')
  await using _ = player
  link.delay(100)
  try {
    const lines = Array.from({ length: 4 }, (_unused, at) => `line ${at}`)
    const answers = lines.map((message) => player.ask({ type: 'ChatSend', tableId, message }))
    expect((await far.fetch('/api/tables', { userId: 'slow-ben' })).status).toBe(200)
    for (const answer of await Promise.all(answers)) expect(answer).toMatchObject({ type: 'Ack' })
    const heard: unknown[] = []
    while (heard.length < lines.length)
      heard.push(((await player.next('ChatMessage'))['message'] as { readonly text: string }).text)
    expect(heard).toEqual(lines)
  } finally {
    link.restore()
  }
})

test('a hung Redis: every request has its answer, sockets stay, and both go on when it moves again', async () => {
  const [player, tableId] = await watch(near, 'hung-cat')
  await using _ = player
  await redis.kill('SIGSTOP')
  try {
    const replies = await Promise.all(
      Array.from({ length: 5 }, () => near.fetch('/api/tables', { userId: 'hung-cat' })),
    )
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200])
    expect(await player.ask({ type: 'ChatSend', tableId, message: 'anyone?' })).toMatchObject({
      type: 'ChatError',
      reason: 'unavailable',
    })
  } finally {
    await redis.kill('SIGCONT')
  }
  await Promise.all([near.ready(), far.ready()])
  await sayUntilAccepted(player, tableId, 'here again')
})

test('Redis emptied under open sockets: people are online again, told anew, without a reconnect', async () => {
  const [watcher, tableId] = await watch(near, 'flush-dan')
  const [other] = await watch(far, 'flush-eve', tableId)
  await using _ = watcher
  await using __ = other
  await admin.flushall()
  await sayUntilAccepted(other, tableId, 'after the flood')
  // As a message, or in the history that comes with a reset.
  for (const player of [watcher, other])
    expect(
      await player.next((message) => JSON.stringify(message).includes('after the flood'), 15_000),
    ).toMatchObject({ tableId, channel: `chat:${tableId}` })
  const owners = async (): Promise<string> => {
    const keys = await admin.keys('*:conns')
    return (await Promise.all(keys.map((key) => admin.hvals(key)))).flat().join()
  }
  await expect.poll(owners, { timeout: 20_000 }).toMatch(/flush-dan/)
  await expect.poll(owners, { timeout: 20_000 }).toMatch(/flush-eve/)
  for (const key of await admin.keys('*')) expect([key, await admin.pttl(key)]).not.toEqual([key, -1])
})

test('an instance that slept through its lease takes nobody along who went elsewhere', async () => {
  const [watcher, tableId] = await watch(far, 'sleep-fay')
  await using _ = watcher
  await using peers = await signIn(far.wsUrl, 'sleep-gus', { features: ['acks', 'presence'] })
  const [before] = await watch(near, 'sleep-hal', tableId)
  peers.send({ type: 'SubscribePresence', userIds: ['sleep-hal'] })
  await peers.next(({ type, users, status }) => JSON.stringify([type, users, status]).includes('online'))
  near.process.signal('SIGSTOP')
  const [after] = await watch(far, 'sleep-hal', tableId)
  before.socket.reset()
  // Another instance cleans up when the lease is over.
  const instances = async (): Promise<string[]> => admin.keys('*:conn:{*:conns')
  await expect.poll(instances, { timeout: 30_000 }).toHaveLength(1)
  near.process.signal('SIGCONT')
  await near.ready()
  expect(await after.ask({ type: 'ChatSend', tableId, message: 'still here' })).toMatchObject({ type: 'Ack' })
  await after.socket.close()
  await peers.next(({ type, status }) => type === 'PresenceChanged' && status === 'offline', 30_000)
  const changes = peers.received.flatMap(({ type, status }) => (type === 'PresenceChanged' ? [status] : []))
  expect(changes.filter((status) => status === 'offline')).toHaveLength(1)
}, 90_000)

test('after all is closed Redis holds nothing without a time to live, no connection, and no subscription', async () => {
  const [player, tableId] = await watch(near, 'last-ivy')
  await using _ = player
  await sayUntilAccepted(player, tableId, 'good night')
  expect((await near.fetch('/api/tables', { userId: 'last-ivy' })).status).toBe(200)
  for (const gateway of [near, far])
    expect(await gateway.process.kill('SIGTERM')).toEqual({ code: 0, signal: null })
  const keys = await admin.keys('*')
  expect(keys.length).toBeGreaterThan(0)
  for (const key of keys) expect([key, await admin.pttl(key)]).not.toEqual([key, -1])
  expect(keys.filter((key) => /:(?:conns|users|channels|lease)$/.test(key))).toEqual([])
  expect(await admin.pubsub('CHANNELS', '*')).toEqual([])
})
