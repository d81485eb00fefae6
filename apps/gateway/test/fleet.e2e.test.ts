/** Two gateways on one real Redis, with the demo publishing through it. */
import { startRedis, type TestMessage } from '@gw/testing'
import { afterAll, expect, test } from 'vitest'
import { startFleet } from './harness/fleet.ts'
import { backendsOf, startGateway } from './harness/platform.ts'
import { connectPlayer, untilUpdated } from './harness/player.ts'

const fleet = await startFleet()
afterAll(() => fleet[Symbol.asyncDispose]())
const {
  demo,
  gateways: [one, two],
} = fleet

test('what happens on one instance reaches the clients of both, once and in one order', async () => {
  const tableId = await one.createTable('fleet-ann')
  await using ann = await connectPlayer(one.wsUrl, 'fleet-ann')
  await using ben = await connectPlayer(two.wsUrl, 'fleet-ben')
  for (const player of [ann, ben]) {
    await player.ask({ type: 'SubscribeTable', tableId })
    await player.ask({ type: 'SubscribeChat', tableId })
  }
  for (const [player, seatId] of [
    [ann, 0],
    [ben, 1],
  ] as const) {
    const instance = player === ann ? one : two
    await instance.takeSeat(player.userId, tableId, seatId)
  }
  const inHand = (message: TestMessage) =>
    message.type === 'TableSnapshot' && JSON.stringify(message).includes('"street":"PREFLOP"')
  const seen = await Promise.all([ann.next(inHand), ben.next(inHand)])
  expect(seen[0]).toEqual(seen[1])

  const lines = 25
  for (let at = 0; at < lines; at++) {
    ann.send({ type: 'ChatSend', tableId, message: `a${at}` })
    ben.send({ type: 'ChatSend', tableId, message: `b${at}` })
  }
  const isChat = ({ type }: TestMessage) => type === 'ChatMessage'
  for (const player of [ann, ben]) for (let at = 0; at < 2 * lines; at++) await player.next(isChat)
  const heard = [ann, ben].map((player) =>
    player.socket.received
      .filter(isChat)
      .map((message) => [message['seq'], (message['message'] as { readonly text: string }).text]),
  )
  expect(heard[0]).toEqual(heard[1])
  const texts = heard[0]?.map(([, text]) => String(text)) ?? []
  expect(new Set(texts).size).toBe(2 * lines)
  // Each sender's lines keep their order.
  for (const who of ['a', 'b'])
    expect(texts.filter((text) => text.startsWith(who))).toEqual(
      Array.from({ length: lines }, (_, at) => `${who}${at}`),
    )
  for (const player of [ann, ben]) player.assertKnownMessages()
})

test('every update of a table comes once, though both instances hear the old channel', async () => {
  const tableId = await one.createTable('fleet-cat')
  await using cat = await connectPlayer(one.wsUrl, 'fleet-cat')
  await using dan = await connectPlayer(two.wsUrl, 'fleet-dan')
  for (const player of [cat, dan]) await player.ask({ type: 'SubscribeTable', tableId })
  const rounds = 5
  for (let at = 0; at < rounds; at++) {
    await one.fetch(`/api/tables/${tableId}/spectate`, { userId: `fleet-s${at}`, method: 'POST' })
  }
  const isLast = (message: TestMessage) =>
    message.type === 'TableSnapshot' && JSON.stringify(message).includes(`fleet-s${rounds - 1}`)
  await Promise.all([cat.next(isLast), dan.next(isLast)])
  for (const player of [cat, dan]) {
    const live = player.socket.received.filter(
      (message) => message['channel'] === `table:${tableId}` && message['id'] === undefined,
    )
    const seqs = live.map((message) => Number(message['seq']))
    expect(seqs).toEqual(Array.from(seqs, (_, at) => (seqs[0] ?? 0) + at))
    const versions = live.map((message) => (message['tableState'] as { readonly version: number }).version)
    expect(versions).toEqual([...new Set(versions)].toSorted((a, b) => a - b))
  }
})

test('a chat line sent twice with one id, through two instances, is one line', async () => {
  const tableId = await one.createTable('fleet-eve')
  await using first = await connectPlayer(one.wsUrl, 'fleet-eve')
  await first.ask({ type: 'SubscribeTable', tableId })
  const sent = { type: 'ChatSend', tableId, message: 'once', id: 'retry-1' }
  first.send(sent)
  const ack = await first.next((message) => message['id'] === 'retry-1')
  await using second = await connectPlayer(two.wsUrl, 'fleet-eve')
  second.send(sent)
  const again = await second.next((message) => message['id'] === 'retry-1')
  expect(again).toMatchObject({ type: 'Ack', messageId: ack['messageId'], duplicate: true })
  const { history } = (await second.ask({ type: 'SubscribeChat', tableId })) as unknown as {
    readonly history: readonly unknown[]
  }
  expect(history).toHaveLength(1)
})

test('Redis absent at boot: healthy, not ready with the reason, ready by itself when Redis comes', async () => {
  await using own = await startRedis()
  await own.kill('SIGKILL')
  await using gateway = await startGateway({ ...backendsOf(demo), REDIS_URL: own.url })
  expect((await gateway.fetch('/health')).status).toBe(200)
  const unready = await gateway.fetch('/ready')
  expect([unready.status, await unready.json()]).toEqual([
    503,
    { status: 'degraded', reason: 'redis_unavailable' },
  ])
  expect((await gateway.fetch('/api/tables', { userId: 'fleet-fay' })).status).toBe(200)

  await using player = await connectPlayer(gateway.wsUrl, 'fleet-fay')
  const refused = await player.ask({ type: 'SubscribeChat', tableId: 'any' })
  expect(refused).toMatchObject({ type: 'Error', code: 'unavailable', retryable: true })

  await own.restart()
  await gateway.ready()
  expect(await player.ask({ type: 'SubscribeChat', tableId: 'any' })).toMatchObject({
    type: 'ChatSubscribed',
  })
  // What every connection has comes by itself, though Redis was away when this one began.
  await player.next('LobbyTablesUpdated', 20_000)
  expect(await gateway.process.kill('SIGTERM')).toEqual({ code: 0, signal: null })
}, 40_000)

test('Redis lost while running: requests still answered, in time; ready again on its return, and updates flow', async () => {
  await using own = await startFleet({ gateways: [{}] })
  const {
    redis,
    gateways: [gateway],
  } = own
  const tableId = await gateway.createTable('fleet-gus')
  await using player = await connectPlayer(gateway.wsUrl, 'fleet-gus')
  await player.ask({ type: 'SubscribeTable', tableId })

  await redis.kill('SIGKILL')
  await gateway.process.line('redis_down')
  const limited = await gateway.fetch('/api/tables', { userId: 'fleet-gus' })
  expect(limited.status).toBe(200)
  expect((await gateway.fetch('/ready')).status).toBe(503)
  expect(await player.ask({ type: 'ChatSend', tableId, message: 'lost?' })).toMatchObject({
    type: 'ChatError',
    reason: 'unavailable',
  })

  await redis.restart()
  await gateway.ready()
  const fresh = await player.ask({ type: 'SubscribeTable', tableId })
  expect(fresh).toMatchObject({ type: 'TableSnapshot' })
  await untilUpdated(player, gateway, tableId)
})

test('what was asked of an instance that stops is done once, and the next one knows the answer', async () => {
  const tableId = await one.createTable('fleet-eve')
  await using stopping = await startGateway(fleet.env)
  await stopping.ready()
  const leave = { type: 'LeaveTable', tableId, id: 'leave-once' }
  await one.takeSeat('fleet-eve', tableId, 3)
  await demo.forgetCalls()
  await demo.fault({ service: 'game', method: 'LeaveSeat', kind: 'delay', delayMs: 1500, count: 1 })
  await using before = await connectPlayer(stopping.wsUrl, 'fleet-eve')
  before.send(leave)
  const calls = () => demo.calls('game', 'LeaveSeat')
  await expect.poll(calls).toHaveLength(1)
  expect(await stopping.process.kill('SIGTERM')).toEqual({ code: 0, signal: null })

  await using after = await connectPlayer(two.wsUrl, 'fleet-eve')
  after.send(leave)
  expect(await after.next(({ id }) => id === 'leave-once')).toMatchObject({ type: 'Ack' })
  expect(await calls()).toHaveLength(1)
})
