/** Clients of the SDK move to another instance when theirs is killed: nothing lost, nothing doubled. */
import { type Client, createClient } from '@gw/client'
import { connectWs, type TestMessage } from '@gw/testing'
import type { ServerMessage } from '@gw/protocol'
import { afterAll, expect, test } from 'vitest'
import { startFleet } from './harness/fleet.ts'
import { startGateway, tokenOf } from './harness/platform.ts'
import { connectPlayer, untilUpdated } from './harness/player.ts'

const fleet = await startFleet({ gateways: [{}] })
afterAll(() => fleet[Symbol.asyncDispose]())
const {
  env,
  gateways: [two],
} = fleet

interface Watcher extends Disposable {
  readonly client: Client
  readonly received: readonly ServerMessage[]
  /** Resolves at the first message, past or coming, that matches. */
  readonly until: (matches: (message: ServerMessage) => boolean) => Promise<ServerMessage>
}

function watch(userId: string, url: () => string): Watcher {
  const client = createClient({ url, token: tokenOf(userId), backoff: { baseMs: 20, maxMs: 200 } })
  const received: ServerMessage[] = []
  const waiting = new Set<(message: ServerMessage) => void>()
  client.on('message', (message) => {
    received.push(message)
    for (const notify of waiting) notify(message)
  })
  return {
    client,
    received,
    async until(matches) {
      const known = received.find(matches)
      if (known) return known
      const { promise, resolve, reject } = Promise.withResolvers<ServerMessage>()
      const late = setTimeout(() => reject(new Error('no such message came')), 10_000)
      const notify = (message: ServerMessage): void => {
        if (matches(message)) resolve(message)
      }
      waiting.add(notify)
      try {
        return await promise
      } finally {
        clearTimeout(late)
        waiting.delete(notify)
      }
    },
    [Symbol.dispose]: () => client.close(),
  }
}

const seqsOf = (received: readonly ServerMessage[], channel: string): number[] =>
  received.flatMap((message) =>
    'seq' in message && message.channel === channel && message.type !== 'Ack' && !('id' in message)
      ? [message.seq ?? -1]
      : [],
  )

test('an instance killed in the middle of traffic: its clients go on elsewhere, every message once and in order', async () => {
  const tableId = await two.createTable('resume-ann')
  await using one = await startGateway(env)
  await one.ready()
  let url = one.wsUrl
  const people = ['ann', 'ben', 'cat'].map((name) => watch(`resume-${name}`, () => url))
  /** The table's version and the chat's position that each began with. */
  const start = new Map<Client, { readonly table: number; readonly chat: number }>()
  for (const { client } of people) {
    await client.connect()
    const table = await client.request({ type: 'SubscribeTable', tableId })
    const chat = await client.request({ type: 'SubscribeChat', tableId })
    if (!table.ok || !chat.ok) throw new Error('not subscribed')
    start.set(client, { table: table.reply.tableState.version, chat: chat.reply.seq ?? -1 })
  }
  await using writer = await connectPlayer(two.wsUrl, 'resume-writer')
  await writer.ask({ type: 'SubscribeTable', tableId })

  const rounds = 40
  const killed = 15
  for (let at = 0; at < rounds; at++) {
    if (at === killed) {
      await Promise.all(people.map(({ until }) => until((message) => isLine(message, `line ${at - 1}`))))
      url = two.wsUrl
      await one.process.kill('SIGKILL')
    }
    expect(await writer.ask({ type: 'ChatSend', tableId, message: `line ${at}` })).toMatchObject({
      type: 'Ack',
    })
    await two.fetch(`/api/tables/${tableId}/spectate`, { userId: `resume-s${at}`, method: 'POST' })
  }

  for (const { client, received, until } of people) {
    await until((message) => isLine(message, `line ${rounds - 1}`))
    await until(
      (message) =>
        message.type === 'TableSnapshot' &&
        message.tableState.spectators.some(({ userId }) => userId === `resume-s${rounds - 1}`),
    )
    const lines = received.flatMap((message) =>
      message.type === 'ChatMessage' ? [message.message.text] : [],
    )
    expect(lines).toEqual(Array.from({ length: rounds }, (_, at) => `line ${at}`))
    const begun = start.get(client) ?? { table: -1, chat: -1 }
    const seqs = seqsOf(received, `chat:${tableId}`)
    expect(seqs).toEqual(Array.from(seqs, (_, at) => begun.chat + 1 + at))
    // The first updates behind the answer may tell what it had told already: the client passes them over.
    const versions = received.flatMap((message) =>
      message.type === 'TableSnapshot' && message.id === undefined ? [message.tableState.version] : [],
    )
    expect(versions).toEqual(Array.from(versions, (_, at) => begun.table + 1 + at))
    const resumed = received.filter((message) => message.type === 'Resumed')
    expect(resumed).toHaveLength(1)
    expect(resumed[0]?.channels).toMatchObject({
      [`table:${tableId}`]: { recovered: true },
      [`chat:${tableId}`]: { recovered: true },
    })
    // The lobby came with the first Welcome, and after the second only what had changed.
    const welcomes = received.flatMap(({ type }, at) => (type === 'Welcome' ? [at] : []))
    expect(welcomes).toHaveLength(2)
    expect(received[(welcomes[1] ?? 0) + 1]?.type).toBe('Resumed')
    client.close()
  }
})

function isLine(message: ServerMessage, text: string): boolean {
  return message.type === 'ChatMessage' && message.message.text === text
}

async function resume(userId: string, positions: object): Promise<readonly TestMessage[]> {
  await using socket = await connectWs(two.wsUrl)
  socket.send({ type: 'Authenticate', token: tokenOf(userId), features: ['acks'], resume: positions })
  socket.send({ type: 'Ping', id: 'behind' })
  await socket.next((message) => message['id'] === 'behind')
  return [...socket.received]
}

test('an empty resume is answered too, right behind Welcome, and then comes the lobby', async () => {
  await using socket = await connectWs(two.wsUrl)
  socket.send({ type: 'Authenticate', token: tokenOf('resume-dan'), features: ['acks'], resume: {} })
  await socket.next('LobbyTablesUpdated')
  const types = socket.received.map(({ type }) => type).filter((type) => type !== 'Subscribed')
  expect(types.slice(0, 3)).toEqual(['Welcome', 'Resumed', 'LobbyTablesUpdated'])
  expect(socket.received[1]).toEqual({ type: 'Resumed', channels: {} })
})

test('what cannot be joined on is said, and a snapshot with its position follows', async () => {
  const tableId = await two.createTable('resume-eve')
  await using eve = await connectPlayer(two.wsUrl, 'resume-eve')
  await eve.ask({ type: 'SubscribeTable', tableId })
  await eve.ask({ type: 'ChatSend', tableId, message: 'before' })
  const gone = { epoch: 'of-another-life', seq: 7 }
  const received = await resume('resume-eve', {
    [`table:${tableId}`]: gone,
    [`chat:${tableId}`]: gone,
    lobby: gone,
    'table:none': gone,
    'user:somebody-else': gone,
    'nonsense:x': gone,
  })
  const [welcome, resumed, ...rest] = received
  expect(welcome?.type).toBe('Welcome')
  expect(resumed?.['channels']).toEqual({
    [`table:${tableId}`]: { recovered: false, epoch: expect.any(String), seq: expect.any(Number) },
    [`chat:${tableId}`]: { recovered: false, epoch: expect.any(String), seq: 1 },
    lobby: { recovered: false, epoch: expect.any(String), seq: expect.any(Number) },
    'table:none': { recovered: false, error: 'not_found' },
    'user:somebody-else': { recovered: false, error: 'forbidden' },
    'nonsense:x': { recovered: false, error: 'not_found' },
  })
  const follows = (type: string) => rest.find((message) => message.type === type)
  const channels = resumed?.['channels'] as Record<string, object>
  expect(follows('TableSnapshot')).toMatchObject({ channel: `table:${tableId}` })
  expect(follows('ChatSubscribed')).toMatchObject({ history: [{ text: 'before' }], seq: 1 })
  expect(follows('LobbyTablesUpdated')).toMatchObject({ channel: 'lobby' })
  const { epoch, seq } = { epoch: '', seq: 0, ...channels[`table:${tableId}`] }
  expect(follows('TableSnapshot')).toMatchObject({ epoch, seq })
})

test('who left the table reads nothing of what was said there since', async () => {
  const tableId = await two.createTable('resume-fay')
  await using fay = await connectPlayer(two.wsUrl, 'resume-fay')
  await fay.ask({ type: 'SubscribeTable', tableId })
  const { epoch, seq } = await fay.ask({ type: 'SubscribeChat', tableId })
  await fay.ask({ type: 'ChatSend', tableId, message: 'among us' })
  const received = await resume('resume-stranger', { [`chat:${tableId}`]: { epoch, seq } })
  expect(received[1]?.['channels']).toMatchObject({ [`chat:${tableId}`]: { recovered: false } })
  expect(JSON.stringify(received)).not.toContain('among us')
})

test('a token in the handshake, then Authenticate: another Welcome with features, and the resume', async () => {
  const headers = { authorization: `Bearer ${tokenOf('resume-gus')}` }
  await using socket = await connectWs(two.wsUrl, { headers })
  expect(await socket.next('Welcome')).not.toHaveProperty('features')
  socket.send({ type: 'Authenticate', token: tokenOf('resume-gus'), features: ['acks'], resume: {}, id: 'a' })
  expect(await socket.next('Welcome')).toMatchObject({ id: 'a', features: ['acks'] })
  expect(await socket.next('Resumed')).toMatchObject({ channels: {} })
  socket.send({ type: 'UnsubscribeLobby', id: 'b' })
  expect(await socket.next('Ack')).toMatchObject({ id: 'b' })
  socket.send({ type: 'Authenticate', token: tokenOf('somebody-else'), id: 'c' })
  expect(await socket.next('Error')).toMatchObject({ id: 'c', code: 'auth_denied' })
})

test('Redis comes back empty: the open socket is told that continuity ended, and gets the state anew', async () => {
  await using own = await startFleet({ gateways: [{}] })
  const {
    redis,
    gateways: [gateway],
  } = own
  const tableId = await gateway.createTable('reset-ann')
  await using ann = await connectPlayer(gateway.wsUrl, 'reset-ann')
  const before = await ann.ask({ type: 'SubscribeTable', tableId })
  await redis.kill('SIGKILL')
  await gateway.process.line('redis_down')
  await redis.restart()
  await gateway.ready()
  const reset = await ann.next(
    ({ type, channel }) => type === 'Reset' && channel === `table:${tableId}`,
    15_000,
  )
  expect(reset['epoch']).not.toBe(before['epoch'])
  const snapshot = await ann.next(
    (message) => message.type === 'TableSnapshot' && message['epoch'] === reset['epoch'],
  )
  expect(snapshot).toMatchObject({ channel: `table:${tableId}` })
  await untilUpdated(ann, gateway, tableId)
})
