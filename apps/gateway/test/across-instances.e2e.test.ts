/** Two instances as one: a request with an id is applied once, whoever gets it; a broadcast reaches every socket meant. */
import { credentials } from '@grpc/grpc-js'
import { createClient } from '@gw/client'
import type { TestMessage } from '@gw/testing'
import { afterAll, expect, test } from 'vitest'
import { z } from 'zod'
import { PublisherService } from '../src/grpc/gen/gateway/v1/publisher_pb.ts'
import { createServiceClient } from '../src/grpc/service-client.ts'
import { startFleet } from './harness/fleet.ts'
import { type GatewayProcess, startGateway, tokenOf } from './harness/platform.ts'
import { connectPlayer, type Player, signIn } from './harness/player.ts'

const fleet = await startFleet({ env: { GRPC_CLIENT_TIMEOUT_MS: '10000' } })
afterAll(() => fleet[Symbol.asyncDispose]())
const {
  demo,
  env,
  gateways: [one, two],
} = fleet

const withTurn = z.object({
  tableState: z.object({
    hand: z.object({ handId: z.string(), turn: z.int(), street: z.literal('PREFLOP') }),
    seats: z.array(z.object({ seatId: z.int(), userId: z.string().nullable() })),
  }),
})

/** Two players on the first instance, and whose turn it is. */
async function seatTwo(name: string, instance: GatewayProcess) {
  const users = [`${name}-a`, `${name}-b`]
  const config = { smallBlind: 1, bigBlind: 2, startingStack: 200, turnTimerSeconds: 60 }
  const tableId = await two.createTable(`${name}-a`, config)
  const players: Player[] = []
  for (const [seatId, userId] of users.entries()) {
    const player = await connectPlayer(instance.wsUrl, userId)
    players.push(player)
    await player.ask({ type: 'SubscribeTable', tableId })
    await two.takeSeat(userId, tableId, seatId)
  }
  const [watcher] = players
  if (!watcher) throw new Error('nobody is there')
  const begun = await watcher.next((message) => withTurn.safeParse(message).success, 15_000)
  const { hand, seats } = withTurn.parse(begun).tableState
  const actor = players.find(
    ({ userId }) => seats.find(({ seatId }) => seatId === hand.turn)?.userId === userId,
  )
  if (!actor) throw new Error('nobody has the turn')
  return { tableId, handId: hand.handId, actor, players }
}

const submitted = async (userId: string): Promise<number> =>
  (await demo.calls('game', 'SubmitAction')).filter(({ request }) => JSON.stringify(request).includes(userId))
    .length

async function end(players: readonly Player[]): Promise<void> {
  for (const player of players) await player[Symbol.asyncDispose]()
}

test('an action sent again with its id, through another instance, is applied once and answered alike', async () => {
  const { tableId, handId, actor, players } = await seatTwo('once', one)
  const call = { type: 'Action', tableId, action: 'Call', handId, id: 'call-1' }
  actor.send(call)
  const first = await actor.next(({ id }) => id === 'call-1')
  expect(first).toEqual({ type: 'ActionResult', tableId, accepted: true, reason: '', id: 'call-1' })
  // Behind the state that it made.
  const at = actor.socket.received.indexOf(first)
  const before = actor.socket.received.slice(0, at)
  expect(before.some((message) => hasActed(message, actor.userId, 'CALL'))).toBe(true)

  await using again = await connectPlayer(two.wsUrl, actor.userId)
  again.send(call)
  expect(await again.next(({ id }) => id === 'call-1')).toEqual(first)
  expect(await submitted(actor.userId)).toBe(1)
  again.send({ ...call, action: 'Fold' })
  expect(await again.next(({ id }) => id === 'call-1')).toMatchObject({ type: 'Error', code: 'conflict' })
  // Another id is another action, and not this player's turn.
  const next = await again.ask({ type: 'Action', tableId, action: 'Call' })
  expect(next).toMatchObject({ accepted: false, reason: 'NOT_YOUR_TURN' })
  await end(players)
})

function hasActed(message: TestMessage, userId: string, type: string): boolean {
  const text = JSON.stringify(message['tableState'] ?? {})
  return new RegExp(`"userId":"${userId}","type":"${type}"`).test(text)
}

test('an action cut off before its answer: the repeat on another instance waits for it, and nothing is done twice', async () => {
  const { tableId, handId, actor, players } = await seatTwo('cut', one)
  await demo.fault({ service: 'game', method: 'SubmitAction', kind: 'delay', delayMs: 1500, count: 1 })
  const call = { type: 'Action', tableId, action: 'Call', handId, id: 'cut-1' }
  actor.send(call)
  await expect.poll(() => submitted(actor.userId), { timeout: 10_000 }).toBe(1)
  actor.socket.reset()
  await using again = await connectPlayer(two.wsUrl, actor.userId)
  again.send(call)
  expect(await again.next(({ id }) => id === 'cut-1', 15_000)).toMatchObject({ accepted: true, reason: '' })
  expect(await submitted(actor.userId)).toBe(1)
  await end(players)
})

test('an instance killed while the action is under way: the repeat elsewhere does it, once', async () => {
  await using own = await startGateway(env)
  await own.ready()
  const { tableId, handId, actor, players } = await seatTwo('killed', own)
  await demo.fault({ service: 'game', method: 'SubmitAction', kind: 'hang', count: 1 })
  const call = { type: 'Action', tableId, action: 'Call', handId, id: 'killed-1' }
  actor.send(call)
  await expect.poll(() => submitted(actor.userId), { timeout: 10_000 }).toBe(1)
  await own.process.kill('SIGKILL')
  await using again = await connectPlayer(two.wsUrl, actor.userId)
  again.send(call)
  expect(await again.next(({ id }) => id === 'killed-1', 15_000)).toMatchObject({ accepted: true })
  const snapshot = await again.ask({ type: 'SubscribeTable', tableId })
  const calls = JSON.stringify(snapshot).match(new RegExp(`"userId":"${actor.userId}","type":"CALL"`, 'g'))
  expect(calls).toHaveLength(1)
  await end(players)
})

test('taking and leaving a seat with an id: the repeat elsewhere has the same answer, a refusal too', async () => {
  const { tableId, players } = await seatTwo('seat', one)
  const [owner] = players
  if (!owner) throw new Error('nobody is there')
  await using again = await connectPlayer(two.wsUrl, owner.userId)
  const join = { type: 'JoinSeat', tableId, seatId: 5, id: 'join-1' }
  owner.send(join)
  const refusal = await owner.next(({ id }) => id === 'join-1')
  expect(refusal).toMatchObject({ type: 'Error', code: 'refused', message: 'ALREADY_SEATED' })
  const leave = { type: 'LeaveTable', tableId, id: 'leave-1' }
  owner.send(leave)
  expect(await owner.next(({ id }) => id === 'leave-1')).toEqual({ type: 'Ack', id: 'leave-1' })
  again.send(leave)
  expect(await again.next(({ id }) => id === 'leave-1')).toEqual({
    type: 'Ack',
    id: 'leave-1',
    duplicate: true,
  })
  // By now the seat could be had: the same request keeps its answer, another one is judged anew.
  again.send(join)
  expect(await again.next(({ id }) => id === 'join-1')).toEqual(refusal)
  await end(players)
})

const createPublisher = () =>
  createServiceClient(PublisherService, {
    address: `127.0.0.1:${one.internalPort}`,
    credentials: credentials.createInsecure(),
    timeoutMs: 10_000,
  })
const json = (value: object) => new TextEncoder().encode(JSON.stringify(value))
const features = ['acks']

test('a backend’s message to a user reaches that user’s sockets on every instance, one to all everybody’s; each once', async () => {
  const publisher = createPublisher()
  const ann = [
    await signIn(one.wsUrl, 'all-ann', { features }),
    await signIn(two.wsUrl, 'all-ann', { features }),
    await signIn(two.wsUrl, 'all-ann'),
  ]
  const ben = await signIn(one.wsUrl, 'all-ben', { features })
  for (const socket of [...ann.slice(0, 2), ben]) {
    await socket.next(({ type, channel }) => type === 'Subscribed' && channel === 'all')
    await socket.next(({ type, channel }) => type === 'Subscribed' && String(channel).startsWith('user:'))
  }
  // Today's client is told nothing: its subscription is there when another instance's socket of the user has been sent to.
  const seen = { channel: 'user:all-ann', payloadJson: json({ type: 'Hint', n: 0 }) }
  await expect
    .poll(async () => {
      await publisher.publish(seen)
      return ann[2]?.received.some(({ type }) => type === 'Hint')
    })
    .toBe(true)

  const gift = { type: 'Gift', chips: 5 }
  const toAnn = { channel: 'user:all-ann', payloadJson: json(gift), idempotencyKey: 'gift-1' }
  const { epoch, seq } = await publisher.publish(toAnn)
  expect(await publisher.publish(toAnn)).toMatchObject({ epoch, seq, duplicate: true })
  const position = { epoch, seq: Number(seq) }
  for (const socket of ann)
    expect(await socket.next('Gift')).toEqual({ ...gift, channel: 'user:all-ann', ...position })
  const news = { type: 'News', text: 'closing at ten' }
  await publisher.publish({ channel: 'all', payloadJson: json(news) })
  for (const socket of [...ann, ben])
    expect(await socket.next('News')).toMatchObject({ ...news, channel: 'all' })
  expect(ben.received.filter(({ type }) => type === 'Gift' || type === 'Hint')).toEqual([])
  for (const socket of ann) expect(socket.received.filter(({ type }) => type === 'Gift')).toHaveLength(1)

  // Away while something is said: it follows on the other instance.
  const [gone] = ann
  const lastAll = gone?.received.findLast(({ channel }) => channel === 'all')
  gone?.reset()
  await publisher.publish({ ...toAnn, idempotencyKey: 'gift-2' })
  const back = await signIn(two.wsUrl, 'all-ann', {
    features,
    resume: {
      'user:all-ann': position,
      all: { epoch: lastAll?.['epoch'], seq: lastAll?.['seq'] },
      'user:all-ben': position,
    },
  })
  expect((await back.next('Resumed'))['channels']).toEqual({
    'user:all-ann': { recovered: true, ...position },
    all: { recovered: true, epoch: lastAll?.['epoch'], seq: lastAll?.['seq'] },
    'user:all-ben': { recovered: false, error: 'forbidden' },
  })
  expect(await back.next('Gift')).toMatchObject({ seq: position.seq + 1 })
  for (const socket of [...ann.slice(1), ben, back]) await socket.close()
  publisher.close()
})

test('the SDK hears what is meant for its user, also of a type that it does not know, and misses none', async () => {
  const publisher = createPublisher()
  let url = one.wsUrl
  const client = createClient({
    url: () => url,
    token: tokenOf('sdk-cat'),
    backoff: { baseMs: 20, maxMs: 200 },
  })
  const heard: unknown[] = []
  const gaps: unknown[] = []
  const subscribed = Promise.withResolvers<void>()
  client.on('other', (message) => heard.push(message['n']))
  client.on('gap', (gap) => gaps.push(gap))
  client.on('Subscribed', ({ channel }) => channel === 'user:sdk-cat' && subscribed.resolve())
  await client.connect()
  await subscribed.promise
  const publish = (n: number) =>
    publisher.publish({ channel: 'user:sdk-cat', payloadJson: json({ type: 'Gift', n }) })
  await publish(1)
  await expect.poll(() => heard).toEqual([1])
  url = two.wsUrl
  client.reconnect()
  await publish(2)
  await publish(3)
  await expect.poll(() => heard).toEqual([1, 2, 3])
  expect(gaps).toEqual([])
  client.close()
  publisher.close()
})
