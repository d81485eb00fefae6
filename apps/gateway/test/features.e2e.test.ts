/** What only clients get that asked for it: presence, typing, heartbeats, the hint before a restart. Two instances. */
import { connectWs, type TestMessage, type TestWsClient } from '@gw/testing'
import { Redis } from 'ioredis'
import { parseServerMessage } from '@gw/protocol/schemas'
import { afterAll, afterEach, expect, test } from 'vitest'
import { startFleet } from './harness/fleet.ts'
import { type GatewayProcess, startGateway, tokenOf } from './harness/platform.ts'
import { connectPlayer, signIn } from './harness/player.ts'
import { scrape } from './harness/scrape.ts'

const fleet = await startFleet({ env: { WS_PING_INTERVAL_MS: '400' } })
afterAll(() => fleet[Symbol.asyncDispose]())
const {
  redis,
  demo,
  env,
  gateways: [one, two],
} = fleet
const open: TestWsClient[] = []

afterEach(async () => {
  for (const socket of open.splice(0)) {
    for (const message of socket.received)
      expect(parseServerMessage(message), JSON.stringify(message)).toMatchObject({ ok: true })
    await socket.close()
  }
})

const all = ['acks', 'presence', 'heartbeat', 'drain', 'typing']

async function connect(
  instance: GatewayProcess,
  userId: string,
  features: readonly string[] = all,
): Promise<TestWsClient> {
  const socket = await signIn(instance.wsUrl, userId, { features })
  open.push(socket)
  return socket
}

test('presence of a user over devices and instances: a snapshot, then each change once', async () => {
  const watcher = await connect(one, 'feat-ann')
  watcher.send({ type: 'SubscribePresence', userIds: ['feat-ben', 'feat-nobody'], id: 'p' })
  expect(await watcher.next('PresenceSnapshot')).toEqual({
    type: 'PresenceSnapshot',
    id: 'p',
    users: { 'feat-ben': 'offline', 'feat-nobody': 'offline' },
  })
  const phone = await connect(one, 'feat-ben')
  expect(await watcher.next('PresenceChanged')).toMatchObject({ userId: 'feat-ben', status: 'online' })
  const laptop = await connect(two, 'feat-ben')
  laptop.send({ type: 'SetAway', away: true, id: 'l' })
  await laptop.next('Ack')
  phone.send({ type: 'SetAway', away: true, id: 'f' })
  await phone.next('Ack')
  expect(await watcher.next('PresenceChanged')).toMatchObject({ status: 'away' })
  laptop.send({ type: 'SetAway', away: false })
  expect(await watcher.next('PresenceChanged')).toMatchObject({ status: 'online' })
  watcher.send({ type: 'SubscribePresence', userIds: ['feat-ben'], id: 'again' })
  expect(await watcher.next('PresenceSnapshot')).toMatchObject({ users: { 'feat-ben': 'online' } })
  watcher.send({ type: 'UnsubscribePresence', userIds: ['feat-ben'], id: 'u' })
  await watcher.next((message) => message['id'] === 'u')
  phone.send({ type: 'SetAway', away: false })
  laptop.send({ type: 'SetAway', away: true })
  laptop.send({ type: 'Ping', id: 'after' })
  await laptop.next('Pong')
  const statuses = watcher.received.flatMap(({ type, status }) =>
    type === 'PresenceChanged' ? [status] : [],
  )
  expect(statuses).toEqual(['online', 'away', 'online'])
})

test('messages of a feature that was not asked for are refused with its name', async () => {
  const plain = await connect(one, 'feat-cat', ['acks'])
  for (const message of [
    { type: 'SubscribePresence', userIds: ['x'] },
    { type: 'SetAway', away: true },
    { type: 'SetTyping', tableId: 'x' },
  ]) {
    plain.send({ ...message, id: message.type })
    expect(await plain.next('Error')).toMatchObject({ id: message.type, code: 'feature_required' })
  }
})

test('typing reaches the others of the chat who asked for it, on every instance, and no stranger may type', async () => {
  const tableId = await one.createTable('feat-dan')
  const [dan, eve, fay] = [
    await connect(one, 'feat-dan'),
    await connect(two, 'feat-eve'),
    await connect(two, 'feat-fay', ['acks']),
  ]
  for (const socket of [dan, eve, fay]) {
    socket.send({ type: 'SubscribeTable', tableId })
    socket.send({ type: 'SubscribeChat', tableId })
    await socket.next('ChatSubscribed')
  }
  dan.send({ type: 'SetTyping', tableId, id: 't' })
  expect(await dan.next('Ack')).toMatchObject({ id: 't' })
  expect(await eve.next('Typing')).toEqual({ type: 'Typing', tableId, userId: 'feat-dan' })
  dan.send({ type: 'ChatSend', tableId, message: 'done' })
  for (const socket of [dan, fay]) {
    await socket.next('ChatMessage')
    expect(socket.received.filter(({ type }) => type === 'Typing')).toEqual([])
  }
  const stranger = await connect(one, 'feat-stranger')
  stranger.send({ type: 'SetTyping', tableId, id: 's' })
  expect(await stranger.next('Error')).toMatchObject({ id: 's', code: 'forbidden' })
})

test('a chat message is deleted by the owner of the table or an admin, for everyone', async () => {
  const tableId = await one.createTable('feat-gus')
  await using gus = await connectPlayer(one.wsUrl, 'feat-gus')
  await using hal = await connectPlayer(two.wsUrl, 'feat-hal')
  for (const player of [gus, hal]) {
    await player.ask({ type: 'SubscribeTable', tableId })
    await player.ask({ type: 'SubscribeChat', tableId })
  }
  const { messageId } = await gus.ask({ type: 'ChatSend', tableId, message: 'oops' })
  const remove = { type: 'DeleteChatMessage', tableId, messageId }
  expect(await hal.ask(remove)).toMatchObject({ type: 'Error', code: 'forbidden' })
  expect(await gus.ask({ ...remove, messageId: 'none' })).toMatchObject({ type: 'Error', code: 'not_found' })
  expect(await gus.ask(remove)).toMatchObject({ type: 'Ack', duplicate: false })
  expect(await hal.next('ChatDeleted')).toMatchObject({ tableId, messageId })
  expect(await gus.ask({ type: 'GetChatHistory', tableId })).toMatchObject({ history: [] })
  const { messageId: second } = await gus.ask({ type: 'ChatSend', tableId, message: 'again' })
  const admin = await connectWs(two.wsUrl)
  open.push(admin)
  admin.send({ type: 'Authenticate', token: tokenOf('feat-admin', { roles: ['admin'] }), features: ['acks'] })
  admin.send({ ...remove, messageId: second, id: 'd' })
  expect(await admin.next('Ack')).toMatchObject({ id: 'd' })
})

test('a silent socket gets a heartbeat in time, one without the feature none', async () => {
  const asked = await connect(one, 'feat-ivy')
  const plain = await connect(one, 'feat-jon', ['acks'])
  const [welcome] = asked.received
  expect(welcome?.['heartbeatMs']).toBe(400)
  for (let at = 0; at < 3; at++) await asked.next('Heartbeat')
  expect(plain.received.filter(({ type }) => type === 'Heartbeat')).toEqual([])
  const sent = (await scrape(one)).value('gateway_ws_messages_sent_total', {
    type: 'Heartbeat',
    result: 'sent',
  })
  expect(sent).toBeGreaterThanOrEqual(3)
})

test('a spectator on two instances is one until the last socket goes', async () => {
  const tableId = await one.createTable('feat-kim')
  await using kim = await connectPlayer(one.wsUrl, 'feat-kim')
  await using first = await connectPlayer(one.wsUrl, 'feat-lee')
  await using second = await connectPlayer(two.wsUrl, 'feat-lee')
  await kim.ask({ type: 'SubscribeTable', tableId })
  for (const socket of [first, second]) await socket.ask({ type: 'SubscribeTable', tableId })
  const isIn = (message: TestMessage) =>
    message.type === 'TableSnapshot' && JSON.stringify(message).includes('feat-lee')
  await kim.next(isIn)
  expect(await kim.next('SpectatorJoined')).toMatchObject({ tableId, spectatorCount: expect.any(Number) })
  await first.socket.close()
  // Something later at the table: had the first socket taken the user along, it would be gone by then.
  await one.fetch(`/api/tables/${tableId}/spectate`, { userId: 'feat-mia', method: 'POST' })
  const later = await kim.next((message) => isIn(message) && JSON.stringify(message).includes('feat-mia'))
  expect(JSON.stringify(later)).toContain('feat-lee')
  await second.ask({ type: 'ChatSend', tableId, message: 'still here' })
  await second.socket.close()
  const left = await kim.next(({ type, userId }) => type === 'SpectatorLeft' && userId === 'feat-lee')
  expect(left).toMatchObject({ tableId })
})

test('a spectator’s sockets that are lost together leave no ghost, on one instance or two', async () => {
  const tableId = await one.createTable('feat-pam')
  await using pam = await connectPlayer(two.wsUrl, 'feat-pam')
  await pam.ask({ type: 'SubscribeTable', tableId })
  for (let at = 0; at < 20; at++) {
    const userId = `feat-quin-${at}`
    const instances = [one, at % 2 === 0 ? one : two]
    const sockets = await Promise.all(instances.map(({ wsUrl }) => connectPlayer(wsUrl, userId)))
    for (const socket of sockets) await socket.ask({ type: 'SubscribeTable', tableId })
    for (const { socket } of sockets) socket.reset()
    await pam.next((message) => message.type === 'SpectatorLeft' && message['userId'] === userId)
  }
})

test('SIGTERM: each client that asked is told when to come back, then closed with 1012; the process ends in time', async () => {
  await using own = await startGateway(env)
  await own.ready()
  const asked = await Promise.all(Array.from({ length: 30 }, (_, at) => connect(own, `feat-d${at}`)))
  const plain = await connect(own, 'feat-plain', ['acks'])
  const gone = own.process.kill('SIGTERM')
  for (const socket of [...asked, plain])
    expect(await socket.closed).toEqual({ code: 1012, reason: 'restart' })
  expect(await gone).toEqual({ code: 0, signal: null })
  for (const socket of asked) {
    const hints = socket.received.filter(({ type }) => type === 'Reconnect')
    expect(hints).toEqual([{ type: 'Reconnect', afterMs: expect.any(Number), reason: 'drain' }])
    expect(socket.received.at(-1)).toBe(hints[0])
  }
  expect(plain.received.filter(({ type }) => type === 'Reconnect')).toEqual([])
})

test('an instance killed: another one tells that its people are offline and takes them from their tables', async () => {
  const watcher = await connect(two, 'feat-ned')
  await using own = await startGateway(env)
  await own.ready()
  const socket = await connectWs(own.wsUrl)
  socket.send({ type: 'Authenticate', token: tokenOf('feat-oda') })
  const { connectionId } = await socket.next('Welcome')
  const tableId = await one.createTable('feat-ned')
  watcher.send({ type: 'SubscribeTable', tableId })
  await watcher.next('TableSnapshot')
  socket.send({ type: 'SubscribeTable', tableId })
  await socket.next('TableSnapshot')
  watcher.send({ type: 'SubscribePresence', userIds: ['feat-oda'] })
  const snapshot = await watcher.next('PresenceSnapshot')
  if (JSON.stringify(snapshot).includes('offline')) await watcher.next('PresenceChanged')
  const store = new Redis(redis.url)
  const stored = async () =>
    (await Promise.all((await store.keys('*:conns')).map((key) => store.hvals(key)))).flat().join()
  await expect.poll(stored).toMatch(new RegExp(`feat-oda.*${tableId}`))
  store.disconnect()
  await own.process.kill('SIGKILL')
  const left = watcher.next(({ type, userId }) => type === 'SpectatorLeft' && userId === 'feat-oda', 40_000)
  const change = await watcher.next(({ status }) => status === 'offline', 40_000)
  expect(change).toMatchObject({ type: 'PresenceChanged', userId: 'feat-oda' })
  // Its session has an end too, told by whoever cleaned up.
  const key = `session:${String(connectionId)}:ended`
  const ends = async () =>
    (await demo.calls('event', 'PublishEvent'))
      .map((call) => JSON.stringify(call))
      .filter((call) => call.includes(key))
  await expect.poll(ends, { timeout: 20_000 }).toEqual([expect.stringContaining('instance_lost')])
  expect(await left).toMatchObject({ tableId })
}, 90_000)
