/** Redis full, slow, hung and emptied, and an instance that was away: what users of two gateways notice. */
import { createLink, startRedis } from '@gw/testing'
import { Redis } from 'ioredis'
import { afterAll, expect, test } from 'vitest'
import { z } from 'zod'
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

const hands = z.object({
  tableState: z.object({
    hand: z.object({ handId: z.string(), turn: z.number().nullish(), endedAt: z.unknown().optional() }),
  }),
})
type Hand = z.infer<typeof hands>['tableState']['hand']

/** The hand of a snapshot, if one is on. */
function handOf(message: unknown): Hand | undefined {
  const parsed = hands.safeParse(message)
  return parsed.success ? parsed.data.tableState.hand : undefined
}

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
  await using friend = await signIn(far.wsUrl, 'flush-fox', { features: ['acks', 'presence'] })
  friend.send({ type: 'SubscribePresence', userIds: ['flush-dan'] })
  await friend.next('PresenceSnapshot')
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
  // Whoever watches is told that the channel began anew, and how things are.
  await friend.next(({ type, channel }) => type === 'Reset' && channel === 'presence:flush-dan', 30_000)
  expect(await friend.next('PresenceSnapshot')).toMatchObject({ users: { 'flush-dan': 'online' } })
})

test('whose instance hears nothing acts in no hand that is over, and gets the next one whole when it hears again', async () => {
  const tableId = await near.createTable('unheard-ann')
  await using ann = await connectPlayer(far.wsUrl, 'unheard-ann')
  await using ben = await connectPlayer(near.wsUrl, 'unheard-ben')
  for (const [seatId, player] of [ann, ben].entries()) {
    await player.ask({ type: 'SubscribeTable', tableId })
    await near.takeSeat(player.userId, tableId, seatId)
  }
  const shownTo = async (player: Player, isNew: (hand: Hand) => boolean): Promise<Hand> => {
    const message = await player.next((candidate) => {
      const hand = handOf(candidate)
      return hand !== undefined && !hand.endedAt && isNew(hand)
    }, 20_000)
    return handOf(message) as Hand
  }
  const old = await shownTo(ann, () => true)
  await shownTo(ben, ({ handId }) => handId === old.handId)
  link.cut()
  try {
    const turnUser = old.turn === 0 ? 'unheard-ann' : 'unheard-ben'
    const folded = await near.fetch(`/api/tables/${tableId}/action`, {
      userId: turnUser,
      method: 'POST',
      body: { actionType: 'fold' },
    })
    expect(folded.status).toBe(200)
    await shownTo(ben, ({ handId }) => handId !== old.handId)
    expect(await ann.ask({ type: 'Action', tableId, action: 'Fold', handId: old.handId })).toMatchObject({
      type: 'ActionResult',
      accepted: false,
      reason: 'stale_hand',
    })
    await admin.flushall()
  } finally {
    link.restore()
  }
  // And when Redis has forgotten what was missed: the state, the cards and the clock, without an update.
  const { handId } = await shownTo(ann, (hand) => hand.handId !== old.handId)
  for (const type of ['HoleCards', 'TimerUpdate'])
    await ann.next((message) => message.type === type && message['handId'] === handId)
  await far.ready()
}, 60_000)

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
