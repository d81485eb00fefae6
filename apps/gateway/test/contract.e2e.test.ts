/**
 * The contract's rows about the socket (§2.1 to §2.7, §3, §6), one test each, as today's web client meets them: no
 * features, and every message that comes has to pass that client's strict schema. Also the paths that the mission names.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connectWs, freePort, signToken, type TestMessage, type TestWsClient } from '@gw/testing'
import { parseServerMessage } from '@gw/protocol/schemas'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { startSingle } from './harness/fleet.ts'
import { listening } from './harness/listening.ts'
import { secret, startGateway, tokenOf } from './harness/platform.ts'
import { open as openRaw } from './harness/raw-http.ts'

// A port of its own for the demo to publish to.
const internalPort = String(await freePort())
const single = await startSingle({
  env: { INTERNAL_PORT: internalPort, WS_QUERY_TOKEN_AUTH: 'yes', WS_PING_INTERVAL_MS: '2000' },
  demo: {
    GATEWAY_PUBLISH_URL: `127.0.0.1:${internalPort}`,
    HAND_START_DELAY_MS: '20',
    NEXT_HAND_DELAY_MS: '300',
  },
})
const { demo, gateway } = single
/** With three actions and three lines of chat a minute. */
const strict = await startGateway({
  ...single.env,
  INTERNAL_PORT: '0',
  WS_RATE_LIMIT_MAX: '3',
  WS_RATE_LIMIT_WINDOW_MS: '60000',
})
await strict.ready()
const sockets: TestWsClient[] = []

afterAll(async () => {
  for (const part of [strict, single]) await part[Symbol.asyncDispose]()
})

afterEach(async () => {
  for (const socket of sockets.splice(0)) {
    for (const message of socket.received) checkAsTheWebClient(message)
    await socket[Symbol.asyncDispose]()
  }
})

const position = z.looseObject({
  channel: z.string().optional(),
  epoch: z.string().optional(),
  seq: z.int().optional(),
})

/** Its schema drops a message whole that does not pass; what is added beside the contract's fields passes. */
function checkAsTheWebClient(message: TestMessage): void {
  const parsed = parseServerMessage(message)
  if (!parsed.ok) throw new Error(`${JSON.stringify(message).slice(0, 300)} ${JSON.stringify(parsed.issues)}`)
  expect(position.safeParse(message).success).toBe(true)
}

async function open(
  where = gateway.wsUrl,
  options: Parameters<typeof connectWs>[1] = {},
): Promise<TestWsClient> {
  const socket = await connectWs(where, options)
  sockets.push(socket)
  return socket
}

async function login(userId: string, instance = gateway): Promise<TestWsClient> {
  const socket = await open(instance.wsUrl)
  socket.send({ type: 'Authenticate', token: tokenOf(userId) })
  await socket.next('Welcome')
  return socket
}

const createTable = (userId: string): Promise<string> =>
  gateway.createTable(userId, { smallBlind: 5, bigBlind: 10, startingStack: 200 })

async function deposit(userId: string, amount: number): Promise<void> {
  const wish = { userId, method: 'POST', body: { amount, source: 'BONUS' } }
  const headers = { 'idempotency-key': `contract-${userId}` }
  expect((await gateway.fetch(`/api/accounts/${userId}/deposit`, { ...wish, headers })).status).toBe(200)
}

/** Everything that was sent to the socket for what it asked is there when this resolves: messages are handled in order. */
async function settled(socket: TestWsClient): Promise<readonly TestMessage[]> {
  const id = `settled-${socket.received.length}`
  socket.send({ type: 'Ping', id })
  await socket.next((message) => message['id'] === id)
  return socket.received
}

const stateSchema = z.object({
  tableState: z.looseObject({
    version: z.int(),
    hand: z
      .looseObject({
        handId: z.string(),
        turn: z.int(),
        street: z.string(),
        endedAt: z.string().nullish(),
        winners: z.array(z.int()).optional(),
        actions: z.array(z.looseObject({ userId: z.string(), type: z.string(), amount: z.number() })),
      })
      .nullable(),
    seats: z.array(z.looseObject({ seatId: z.int(), userId: z.string().nullable() })),
  }),
})
const stateOf = (message: TestMessage | undefined) => stateSchema.parse(message).tableState
const isSnapshot = ({ type }: TestMessage): boolean => type === 'TableSnapshot'
const inHand = (message: TestMessage): boolean => {
  if (!isSnapshot(message)) return false
  const { hand } = stateOf(message)
  return hand !== null && !hand.endedAt
}

/** The first message, past or coming, that matches. */
async function until(socket: TestWsClient, matches: (message: TestMessage) => boolean): Promise<TestMessage> {
  return socket.received.find(matches) ?? (await socket.next(matches, 15_000))
}

/** Two players in a hand, both watching; the first of the two has the turn. */
async function playing(name: string) {
  const tableId = await createTable(`${name}-a`)
  const players = new Map<string, TestWsClient>()
  for (const [seatId, userId] of [`${name}-a`, `${name}-b`].entries()) {
    const socket = await login(userId)
    players.set(userId, socket)
    socket.send({ type: 'SubscribeTable', tableId })
    await socket.next('TableSnapshot')
    await gateway.takeSeat(userId, tableId, seatId)
  }
  const [first] = players.values()
  const state = stateOf(await first?.next(inHand, 15_000))
  const turnUser = state.seats.find(({ seatId }) => seatId === state.hand?.turn)?.userId ?? ''
  const actor = players.get(turnUser)
  const [other] = [...players].filter(([userId]) => userId !== turnUser)
  if (!actor || !other || !state.hand) throw new Error('nobody has the turn')
  return { tableId, handId: state.hand.handId, actor, actorId: turnUser, other: other[1], otherId: other[0] }
}

describe('§2.1 connection', () => {
  test('URL: ws://host/ws, exact path; another path gets a bare HTTP 404', async () => {
    await expect(open(gateway.wsUrl.replace('/ws', '/ws/x'))).rejects.toMatchObject({ status: 404 })
  })

  test('frames: JSON text is sent, text or binary taken, nothing compressed', async () => {
    const socket = await open()
    expect(socket.headers['sec-websocket-extensions']).toBeUndefined()
    socket.send(Buffer.from(JSON.stringify({ type: 'Authenticate', token: tokenOf('c21-bin') })))
    expect(await socket.next('Welcome')).toMatchObject({ userId: 'c21-bin' })
  })

  test.each([
    ['a blank token', { type: 'Authenticate', token: '' }, 'Authentication required'],
    ['a refused token', { type: 'Authenticate', token: 'no.such.token' }, 'Unauthorized'],
    ['not a JSON object', '"text"', 'Invalid authentication payload'],
    ['no JSON', 'hello', 'Invalid authentication payload'],
  ])('auth and close codes: %s closes with 1008', async (_what, frame, reason) => {
    const socket = await open()
    socket.send(frame)
    expect(await socket.closed).toEqual({ code: 1008, reason })
  })

  test('auth and close codes: no Authenticate within 5 s closes with 1008, whatever else was sent', async () => {
    const [silent, chatty] = [await open(), await open()]
    chatty.send({ type: 'SubscribeTable', tableId: 'none' })
    for (const socket of [silent, chatty])
      expect(await socket.closed).toEqual({ code: 1008, reason: 'Authentication required' })
  })

  test('close codes: 1011 when the identity provider is away or silent, not the 1008 that asks for another token', async () => {
    await using silent = await listening(createServer())
    for (const port of [await freePort(), silent.port]) {
      await using alone = await startGateway({ KEYCLOAK_URL: `http://127.0.0.1:${port}` })
      const socket = await open(alone.wsUrl)
      const token = signToken({ sub: 'c21-keys' }, secret, { keyid: 'of-the-provider' })
      socket.send({ type: 'Authenticate', token })
      expect(await socket.closed).toEqual({ code: 1011, reason: 'Authentication unavailable' })
    }
  })

  test('query token, where it is enabled: a good one skips the first frame, a bad one closes 1008, none: the first frame', async () => {
    const good = await open(`${gateway.wsUrl}?token=${tokenOf('c21-query')}`)
    expect(await good.next('Welcome')).toMatchObject({ userId: 'c21-query' })
    const bad = await open(`${gateway.wsUrl}?token=no.such.token`)
    expect(await bad.closed).toEqual({ code: 1008, reason: 'Unauthorized' })
    await login('c21-none')
  })

  test('after auth: Welcome first, then the lobby by itself', async () => {
    const socket = await login('c21-lobby')
    await socket.next('LobbyTablesUpdated')
    expect(socket.received.map(({ type }) => type).slice(0, 2)).toEqual(['Welcome', 'LobbyTablesUpdated'])
  })

  test('a second Authenticate changes nothing and turns nothing red', async () => {
    const socket = await login('c21-twice')
    socket.send({ type: 'Authenticate', token: tokenOf('c21-twice') })
    socket.send({ type: 'Authenticate', token: 'no.such.token' })
    const types = (await settled(socket)).map(({ type }) => type)
    expect(types.filter((type) => type === 'Error' || type === 'Welcome')).toEqual(['Welcome'])
  })

  test('heartbeat: the server pings', async () => {
    const socket = await login('c21-ping')
    await once(socket.ws, 'ping')
  })

  test('heartbeat: a pong may come until the next ping is due; without one the socket is cut', async () => {
    const fields = `Authorization: Bearer ${tokenOf('c21-late')}\r\n`
    const { socket } = await openRaw(gateway, fields)
    const isPing = (chunk: Buffer): boolean => chunk.includes(Buffer.from([0x89, 0]))
    const ping = async (): Promise<void> => {
      for (;;) if (isPing(((await once(socket, 'data')) as [Buffer])[0])) return
    }
    await ping()
    // An empty pong, masked with zeros, from a peer that took two thirds of the interval.
    setTimeout(() => socket.write(Buffer.from([0x8a, 0x80, 0, 0, 0, 0])), 1300)
    await ping()
    const pinged = performance.now()
    await once(socket, 'close')
    expect(performance.now() - pinged).toBeGreaterThan(1500)
  })
})

describe('§2.2 client to server', () => {
  test('SubscribeTable: TableSnapshot to the sender, and the user is a spectator', async () => {
    const tableId = await createTable('c22-sub')
    const socket = await login('c22-watcher')
    socket.send({ type: 'SubscribeTable', tableId })
    expect(await socket.next('TableSnapshot')).toMatchObject({ tableState: { tableId, hand: null } })
    await until(socket, (message) => isSnapshot(message) && JSON.stringify(message).includes('c22-watcher'))
  })

  test('SubscribeTable of an unknown table: said, where today there was silence', async () => {
    const socket = await login('c22-unknown')
    socket.send({ type: 'SubscribeTable', tableId: 'no-such-table' })
    expect(await socket.next('Error')).toMatchObject({ code: 'not_found', tableId: 'no-such-table' })
  })

  test('SubscribeTable and ResyncTable of a player in a hand: the snapshot, then HoleCards', async () => {
    const { tableId, handId, actor } = await playing('c22-cards')
    for (const type of ['SubscribeTable', 'ResyncTable']) {
      const at = actor.received.length
      actor.send({ type, tableId })
      await settled(actor)
      const answer = actor.received.slice(at).map((message) => message.type)
      const snapshot = answer.indexOf('TableSnapshot')
      expect(snapshot).toBeGreaterThanOrEqual(0)
      expect(answer.indexOf('HoleCards')).toBeGreaterThan(snapshot)
    }
    expect(actor.received.findLast(({ type }) => type === 'HoleCards')).toMatchObject({ tableId, handId })
  })

  test('UnsubscribeTable: no reply, no more snapshots, no spectator', async () => {
    const tableId = await createTable('c22-unsub')
    const [watcher, other] = [await login('c22-leaver'), await login('c22-other')]
    for (const socket of [other, watcher]) {
      socket.send({ type: 'SubscribeTable', tableId })
      await socket.next('TableSnapshot')
    }
    await until(other, (message) => isSnapshot(message) && JSON.stringify(message).includes('c22-leaver'))
    watcher.send({ type: 'UnsubscribeTable', tableId })
    await settled(watcher)
    const before = watcher.received.filter(isSnapshot).length
    await other.next(({ type, userId }) => type === 'SpectatorLeft' && userId === 'c22-leaver')
    expect((await settled(watcher)).filter(isSnapshot)).toHaveLength(before)
  })

  test('JoinSeat: none on success but the broadcast; Error with the game’s word else; no buy-in means the table’s stack', async () => {
    const tableId = await createTable('c22-join')
    const socket = await login('c22-join')
    socket.send({ type: 'SubscribeTable', tableId })
    await socket.next('TableSnapshot')
    socket.send({ type: 'JoinSeat', tableId, seatId: 2 })
    expect(await socket.next('Error')).toMatchObject({ message: 'ACCOUNT_NOT_FOUND' })
    await deposit('c22-join', 1000)
    socket.send({ type: 'JoinSeat', tableId, seatId: 2, buyInAmount: 0 })
    const seated = await socket.next(
      (message) =>
        isSnapshot(message) &&
        stateOf(message).seats.some((seat) => seat.userId === 'c22-join' && seat['status'] === 'SEATED'),
    )
    expect(stateOf(seated).seats[2]).toMatchObject({ stack: 200 })
    socket.send({ type: 'JoinSeat', tableId, seatId: 3, buyInAmount: '50' })
    expect(await socket.next('Error')).toMatchObject({ message: 'ALREADY_SEATED' })
  })

  test('JoinSeat: Error with each word that Game has for a refusal', async () => {
    const tableId = await createTable('c22-words')
    const socket = await login('c22-words')
    const wordAt = async (seat: object): Promise<unknown> => {
      socket.send({ type: 'JoinSeat', tableId, seatId: 1, ...seat })
      return (await socket.next('Error'))['message']
    }
    await deposit('c22-words', 1000)
    await gateway.takeSeat('c22-first', tableId, 0)
    expect(await wordAt({ seatId: 0 })).toBe('SEAT_NOT_AVAILABLE')
    expect(await wordAt({ tableId: 'none' })).toBe('TABLE_NOT_FOUND')
    expect(await wordAt({ buyInAmount: 1001 })).toBe('INSUFFICIENT_BALANCE')
    const failing = { service: 'balance', kind: 'error', count: 1 } as const
    await demo.fault({ ...failing, method: 'ReserveForBuyIn' })
    expect(await wordAt({})).toBe('INTERNAL')
    await demo.fault({ ...failing, method: 'CommitReservation' })
    expect(await wordAt({})).toBe('COMMIT_FAILED')
  })

  test('JoinSeat: Error TABLE_LOST when the table is deleted while the chips are on their way', async () => {
    const tableId = await createTable('c22-lost')
    const socket = await login('c22-lost')
    await deposit('c22-lost', 1000)
    socket.send({ type: 'SubscribeTable', tableId })
    await demo.fault({ service: 'balance', method: 'ReserveForBuyIn', kind: 'hang', count: 1 })
    socket.send({ type: 'JoinSeat', tableId, seatId: 1 })
    await socket.next((message) => isSnapshot(message) && stateOf(message).seats[1]?.userId === 'c22-lost')
    await gateway.fetch(`/api/tables/${tableId}`, { userId: 'c22-lost', method: 'DELETE' })
    expect(await socket.next('Error')).toMatchObject({ message: 'TABLE_LOST' })
  })

  test('JoinSeat: Error `Internal error` when the RPC fails', async () => {
    const tableId = await createTable('c22-fails')
    const socket = await login('c22-fails')
    await demo.fault({ service: 'game', method: 'JoinSeat', kind: 'error', code: 'INTERNAL', count: 1 })
    socket.send({ type: 'JoinSeat', tableId, seatId: 1 })
    expect(await socket.next('Error')).toMatchObject({ code: 'internal', message: 'Internal error' })
  })

  test('LeaveTable: no reply, also where nobody sits and where the RPC fails', async () => {
    const { tableId, actor, actorId, other } = await playing('c22-leave')
    actor.send({ type: 'LeaveTable', tableId })
    await other.next(
      (message) => isSnapshot(message) && !stateOf(message).seats.some(({ userId }) => userId === actorId),
    )
    actor.send({ type: 'LeaveTable', tableId })
    actor.send({ type: 'LeaveTable', tableId: 'none' })
    await settled(actor)
    await demo.fault({ service: 'game', method: 'LeaveSeat', kind: 'error', code: 'INTERNAL', count: 1 })
    actor.send({ type: 'LeaveTable', tableId })
    expect((await settled(actor)).filter(({ type }) => type === 'Error' || type === 'Ack')).toEqual([])
  })

  test('Action: amounts as numbers or strings, sent with every action; ActionResult', async () => {
    const { tableId, actor, other } = await playing('c22-action')
    actor.send({ type: 'Action', tableId, action: 'Call', amount: '0' })
    expect(await actor.next('ActionResult')).toEqual({
      type: 'ActionResult',
      tableId,
      accepted: true,
      reason: '',
    })
    other.send({ type: 'Action', tableId, action: 'Raise', amount: 30 })
    expect(await other.next('ActionResult')).toMatchObject({ accepted: true })
  })

  test('Action of a hand that is over is refused, where today it was played in the next one', async () => {
    const { tableId, actor } = await playing('c22-stale')
    actor.send({ type: 'Action', tableId, action: 'Fold', handId: 'yesterday' })
    expect(await actor.next('ActionResult')).toMatchObject({ accepted: false, reason: 'stale_hand' })
  })

  test('SubscribeChat, ChatSend, UnsubscribeChat: history, the own line live, then nothing more', async () => {
    const tableId = await createTable('c22-chat')
    const socket = await login('c22-chat')
    for (const type of ['SubscribeTable', 'SubscribeChat']) socket.send({ type, tableId })
    expect(await socket.next('ChatSubscribed')).toMatchObject({ tableId, history: [] })
    socket.send({ type: 'ChatSend', tableId, message: 'hello' })
    expect(await socket.next('ChatMessage')).toMatchObject({ tableId, message: { text: 'hello' } })
    socket.send({ type: 'UnsubscribeChat', tableId })
    socket.send({ type: 'ChatSend', tableId, message: 'unheard' })
    socket.send({ type: 'SubscribeChat', tableId })
    expect(await socket.next('ChatSubscribed')).toMatchObject({
      history: [{ text: 'hello' }, { text: 'unheard' }],
    })
    expect(socket.received.filter(({ type }) => type === 'ChatMessage')).toHaveLength(1)
  })
})

describe('§2.3 server to client', () => {
  test('Welcome: userId and connectionId, a UUID, and nothing that was not asked for', async () => {
    const socket = await login('c23-welcome')
    expect(socket.received[0]).toEqual({
      type: 'Welcome',
      userId: 'c23-welcome',
      connectionId: expect.stringMatching(/^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/),
    })
  })

  test('LobbyTablesUpdated: every field of a row; again when the content changes', async () => {
    const socket = await login('c23-lobby')
    const tableId = await createTable('c23-lobby')
    const update = await until(
      socket,
      (message) => message.type === 'LobbyTablesUpdated' && JSON.stringify(message).includes(tableId),
    )
    const rows = z.object({ tables: z.array(z.looseObject({ tableId: z.string() })) }).parse(update).tables
    expect(rows.find((row) => row.tableId === tableId)).toEqual({
      tableId,
      name: 'Table of c23-lobby',
      ownerId: 'c23-lobby',
      config: {
        smallBlind: 5,
        bigBlind: 10,
        ante: 0,
        maxPlayers: 9,
        startingStack: 200,
        bettingStructure: 'NoLimit',
        turnTimerSeconds: 20,
      },
      seatsTaken: 0,
      occupiedSeatIds: [],
      inProgress: false,
      spectatorCount: 0,
    })
  })

  test('HoleCards: tableId, handId, two cards, no seat', async () => {
    const { tableId, handId, actor } = await playing('c23-cards')
    const card = {
      rank: expect.any(String),
      suit: expect.stringMatching(/^(?:hearts|diamonds|clubs|spades)$/),
    }
    expect(await actor.next('HoleCards')).toEqual({ type: 'HoleCards', tableId, handId, cards: [card, card] })
  })

  test.each([
    ['invalid_action', { action: 'AllIn' }],
    ['missing_amount', { action: 'Raise' }],
    ['NOT_YOUR_TURN', { action: 'Fold' }],
  ])('ActionResult: reason %s, without a handId', async (reason, action) => {
    const { tableId, other } = await playing(`c23-${reason}`)
    other.send({ type: 'Action', tableId, ...action })
    expect(await other.next('ActionResult')).toEqual({
      type: 'ActionResult',
      tableId,
      accepted: false,
      reason,
    })
  })

  test.each([
    ['ILLEGAL_ACTION', { action: 'Check' }],
    ['INVALID_AMOUNT', { action: 'Raise', amount: 0 }],
    ['AMOUNT_TOO_SMALL', { action: 'Raise', amount: 11 }],
    ['AMOUNT_TOO_LARGE', { action: 'Raise', amount: 201 }],
  ])('ActionResult: %s, to who has the turn', async (reason, action) => {
    const { tableId, actor } = await playing(`c23-${reason}`)
    actor.send({ type: 'Action', tableId, ...action })
    expect(await actor.next('ActionResult')).toMatchObject({ tableId, accepted: false, reason })
  })

  test('ActionResult: SEAT_INACTIVE, to who sits but came after the deal', async () => {
    const { tableId } = await playing('c23-late')
    await gateway.takeSeat('c23-late-c', tableId, 2)
    const socket = await login('c23-late-c')
    socket.send({ type: 'Action', tableId, action: 'Fold' })
    expect(await socket.next('ActionResult')).toMatchObject({ accepted: false, reason: 'SEAT_INACTIVE' })
  })

  test('ActionResult: TABLE_NOT_FOUND, NO_HAND_IN_PROGRESS, PLAYER_NOT_AT_TABLE; internal_error and unavailable when Game fails', async () => {
    const { tableId } = await playing('c23-words')
    const idle = await createTable('c23-idle')
    const socket = await login('c23-stranger')
    const reasonAt = async (id: string): Promise<unknown> => {
      socket.send({ type: 'Action', tableId: id, action: 'Check' })
      return (await socket.next('ActionResult'))['reason']
    }
    expect(await reasonAt('none')).toBe('TABLE_NOT_FOUND')
    expect(await reasonAt(idle)).toBe('NO_HAND_IN_PROGRESS')
    expect(await reasonAt(tableId)).toBe('PLAYER_NOT_AT_TABLE')
    for (const [code, reason] of [
      ['INTERNAL', 'internal_error'],
      ['UNAVAILABLE', 'unavailable'],
    ] as const) {
      await demo.fault({ service: 'game', method: 'SubmitAction', kind: 'error', code, count: 1 })
      expect(await reasonAt(tableId)).toBe(reason)
    }
  })
})

describe('§2.4 chat rules', () => {
  test.each([
    ['empty_message', '   '],
    ['message_too_long', 'x'.repeat(501)],
  ])('%s, before anything else is looked at', async (reason, message) => {
    const socket = await login('c24-rules')
    socket.send({ type: 'ChatSend', tableId: 'none', message })
    expect(await socket.next('ChatError')).toEqual({ type: 'ChatError', tableId: 'none', reason })
  })

  test('not_seated for who is neither player nor spectator', async () => {
    const tableId = await createTable('c24-owner')
    const socket = await login('c24-stranger')
    socket.send({ type: 'ChatSend', tableId, message: 'hi' })
    expect(await socket.next('ChatError')).toEqual({ type: 'ChatError', tableId, reason: 'not_seated' })
  })

  test('chat send, receive, history, mute: muted at once, on the word of the owner; unmuted at once', async () => {
    const tableId = await createTable('c24-host')
    const socket = await login('c24-guest')
    for (const type of ['SubscribeTable', 'SubscribeChat']) socket.send({ type, tableId })
    await socket.next('ChatSubscribed')
    const moderate = (word: string) =>
      gateway.fetch(`/api/tables/${tableId}/${word}`, {
        userId: 'c24-host',
        method: 'POST',
        body: { targetUserId: 'c24-guest' },
      })
    const say = (message: string): void => socket.send({ type: 'ChatSend', tableId, message })
    say('one')
    await socket.next('ChatMessage')
    // What was known of the guest a moment ago is forgotten as soon as the owner's word is in.
    expect((await moderate('mute')).status).toBe(200)
    say('two')
    expect(await socket.next('ChatError')).toEqual({ type: 'ChatError', tableId, reason: 'muted' })
    expect((await moderate('unmute')).status).toBe(200)
    say('three')
    expect(await socket.next('ChatMessage')).toMatchObject({ message: { text: 'three' } })
    socket.send({ type: 'GetChatHistory', tableId })
    expect(await socket.next('ChatHistory')).toMatchObject({ history: [{ text: 'one' }, { text: 'three' }] })
  })

  test('when Game cannot say who is muted the line is refused, and that is said (today it passed)', async () => {
    const tableId = await createTable('c24-unsure')
    const socket = await login('c24-unsure')
    socket.send({ type: 'SubscribeTable', tableId })
    await socket.next('TableSnapshot')
    await demo.fault({ service: 'game', method: 'IsMuted', kind: 'error', code: 'INTERNAL', count: 1 })
    socket.send({ type: 'ChatSend', tableId, message: 'hi' })
    expect(await socket.next('ChatError')).toMatchObject({ reason: 'unavailable' })
  })

  test('the username comes from the profile; `Unknown` when there is none', async () => {
    const tableId = await createTable('c24-name')
    const socket = await login('c24-name')
    const nameless = await login('c24-nameless')
    for (const one of [socket, nameless]) {
      for (const type of ['SubscribeTable', 'SubscribeChat']) one.send({ type, tableId })
      await one.next('ChatSubscribed')
    }
    socket.send({ type: 'ChatSend', tableId, message: 'hi' })
    const message = { id: expect.any(String), userId: 'c24-name', username: 'c24-name', text: 'hi' }
    expect(await nameless.next('ChatMessage')).toMatchObject({
      tableId,
      message: { ...message, ts: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) },
    })
    await demo.fault({ service: 'player', method: 'GetProfile', kind: 'error', code: 'INTERNAL' })
    nameless.send({ type: 'ChatSend', tableId, message: 'who' })
    const said = await nameless.next('ChatMessage')
    await demo.clearFaults()
    expect(said).toMatchObject({ message: { username: 'Unknown' } })
  })

  test('history: oldest first, at most 100, pages both ways that join to the live lines', async () => {
    const tableId = await createTable('c24-long')
    const socket = await login('c24-long')
    for (const type of ['SubscribeTable', 'SubscribeChat']) socket.send({ type, tableId })
    for (let line = 0; line < 105; line++) socket.send({ type: 'ChatSend', tableId, message: `${line}` })
    await socket.next(
      ({ type, message }) => type === 'ChatMessage' && JSON.stringify(message).includes('"104"'),
      15_000,
    )
    const live = socket.received.flatMap(({ type, message }) => (type === 'ChatMessage' ? [message] : []))
    const reader = await login('c24-reader')
    for (const type of ['SubscribeTable', 'SubscribeChat']) reader.send({ type, tableId })
    const page = z.object({ history: z.array(z.looseObject({ id: z.string() })) })
    const { history } = page.parse(await reader.next('ChatSubscribed'))
    expect(history).toEqual(live.slice(5))
    reader.send({ type: 'GetChatHistory', tableId, before: history[0]?.id, limit: 50 })
    const older = await reader.next('ChatHistory')
    expect(older).toMatchObject({ history: live.slice(0, 5), more: false })
    reader.send({ type: 'GetChatHistory', tableId, after: history[97]?.id, limit: 1 })
    expect(await reader.next('ChatHistory')).toMatchObject({ history: live.slice(103, 104), more: true })
    socket.send({ type: 'ChatSend', tableId, message: 'live' })
    expect(await reader.next('ChatMessage')).toMatchObject({ message: { text: 'live' } })
  })

  test('lines of one socket come out in the order sent (today they did not)', async () => {
    const tableId = await createTable('c24-order')
    const socket = await login('c24-order')
    for (const type of ['SubscribeTable', 'SubscribeChat']) socket.send({ type, tableId })
    await socket.next('ChatSubscribed')
    const lines = Array.from({ length: 12 }, (_, line) => `${line}`)
    for (const message of lines) socket.send({ type: 'ChatSend', tableId, message })
    const heard: unknown[] = []
    for (const _ of lines)
      heard.push(
        z.object({ message: z.object({ text: z.string() }) }).parse(await socket.next('ChatMessage')).message
          .text,
      )
    expect(heard).toEqual(lines)
  })
})

describe('§2.5 TableSnapshot', () => {
  test('by the gateway and by Game: the same state, with what legal actions need', async () => {
    const { tableId, actor } = await playing('c25')
    const relayed = await until(actor, inHand)
    actor.send({ type: 'ResyncTable', tableId })
    const built = await actor.next(
      (message) => isSnapshot(message) && message['id'] === undefined && inHand(message),
    )
    for (const message of [relayed, built]) {
      const state = stateOf(message)
      expect(state).toMatchObject({
        tableId,
        name: expect.any(String),
        ownerId: expect.any(String),
        status: 'PLAYING',
        button: expect.any(Number),
        updatedAt: expect.stringMatching(/Z$/),
      })
      expect(state.hand).toMatchObject({
        roundContributions: { 0: expect.any(Number), 1: expect.any(Number) },
        actedSeats: expect.any(Array),
        raiseCapped: expect.any(Boolean),
        bigBlind: 10,
        pots: expect.any(Array),
        currentBet: 10,
        minRaise: expect.any(Number),
        lastAggressor: expect.any(Number),
      })
      expect(state.hand?.actions.map(({ type }) => type)).toEqual(['POST_BLIND', 'POST_BLIND'])
    }
  })
})

describe('§2.6 order', () => {
  test('Action: the new state reaches the actor before the ActionResult, every time', async () => {
    const { tableId, actor, actorId, other, otherId } = await playing('c26-order')
    for (const [socket, userId, action] of [
      [actor, actorId, 'Call'],
      [other, otherId, 'Check'],
    ] as const) {
      socket.send({ type: 'Action', tableId, action })
      const result = await socket.next('ActionResult')
      expect(result).toMatchObject({ accepted: true })
      const before = socket.received.slice(0, socket.received.indexOf(result))
      const last = before.findLast((message) => isSnapshot(message))
      expect(stateOf(last).hand?.actions.at(-1)).toMatchObject({ userId, type: action.toUpperCase() })
    }
  })

  test('end of a hand: a state with endedAt and winners, one without a hand, then the next hand', async () => {
    const { tableId, handId, actor, other } = await playing('c26-end')
    actor.send({ type: 'Action', tableId, action: 'Fold' })
    await other.next((message) => inHand(message) && stateOf(message).hand?.handId !== handId, 15_000)
    const steps = other.received.filter(isSnapshot).map((message) => stateOf(message).hand)
    const ended = steps.findIndex((hand) => hand?.endedAt)
    expect(steps[ended]).toMatchObject({ handId, winners: [expect.any(Number)] })
    expect(steps[ended + 1]).toBeNull()
  })

  test('no state is followed by an older one (seen today: 1, 0, 2)', async () => {
    const { actor, other } = await playing('c26-versions')
    for (const socket of [actor, other]) {
      const versions = socket.received.filter(isSnapshot).map((message) => stateOf(message).version)
      expect(versions).toEqual(versions.toSorted((a, b) => a - b))
    }
  })
})

describe('§2.7 limits', () => {
  test('Action and ChatSend are limited apart, in the contract’s own answers', async () => {
    const socket = await login('c27', strict)
    for (let at = 0; at < 4; at++) socket.send({ type: 'Action', tableId: 'none', action: 'Check' })
    const reasons = []
    for (let at = 0; at < 4; at++) reasons.push((await socket.next('ActionResult'))['reason'])
    expect(reasons).toEqual(['TABLE_NOT_FOUND', 'TABLE_NOT_FOUND', 'TABLE_NOT_FOUND', 'rate_limited'])
    for (let at = 0; at < 4; at++) socket.send({ type: 'ChatSend', tableId: 'none', message: 'hi' })
    const refusals = []
    for (let at = 0; at < 4; at++) refusals.push((await socket.next('ChatError'))['reason'])
    expect(refusals).toEqual(['not_seated', 'not_seated', 'not_seated', 'rate_limited'])
  })
})

describe('§3 what the web client needs', () => {
  test.each([
    ['Authenticate, SubscribeTable, SubscribeChat, SubscribeChat', ['A', 'T', 'C', 'C']],
    ['SubscribeTable, Authenticate, SubscribeChat', ['T', 'A', 'C']],
  ])('frames before Welcome, flushed at once: %s', async (title, order) => {
    const tableId = await createTable('c3-early')
    const socket = await open()
    for (const word of order) {
      if (word === 'A') socket.send({ type: 'Authenticate', token: tokenOf(`c3-${order.length}`) })
      else socket.send({ type: word === 'T' ? 'SubscribeTable' : 'SubscribeChat', tableId })
    }
    for (const word of order) if (word === 'C') await socket.next('ChatSubscribed')
    const types = socket.received.map(({ type }) => type)
    expect(types[0]).toBe('Welcome')
    expect(types, title).toContain('TableSnapshot')
  })

  test('hole cards: on each new hand without asking, two of them, and to spectators never', async () => {
    const { tableId, handId, actor, other } = await playing('c3-cards')
    const watcher = await login('c3-watcher')
    watcher.send({ type: 'SubscribeTable', tableId })
    actor.send({ type: 'Action', tableId, action: 'Fold' })
    for (const socket of [actor, other]) {
      const cards = await socket.next(
        (message) => message.type === 'HoleCards' && message['handId'] !== handId,
        15_000,
      )
      expect(cards['cards']).toHaveLength(2)
    }
    expect((await settled(watcher)).filter(({ type }) => type === 'HoleCards')).toEqual([])
  })

  test('timer: TimerUpdate with hand, seat and deadline', async () => {
    const { tableId, handId, actor } = await playing('c3-timer')
    expect(await actor.next('TimerUpdate')).toEqual({
      type: 'TimerUpdate',
      tableId,
      handId,
      currentTurnSeat: expect.any(Number),
      deadlineTs: expect.stringMatching(/^\d{4}-.*Z$/),
    })
  })

  test('SpectatorJoined and SpectatorLeft have a spectatorCount', async () => {
    const tableId = await createTable('c3-host')
    const [host, guest] = [await login('c3-host'), await login('c3-guest')]
    host.send({ type: 'SubscribeTable', tableId })
    await until(
      host,
      (message) => isSnapshot(message) && JSON.stringify(message).includes('"userId":"c3-host"'),
    )
    guest.send({ type: 'SubscribeTable', tableId })
    const isGuest = (type: string) => (message: TestMessage) =>
      message.type === type && message['userId'] === 'c3-guest'
    expect(await host.next(isGuest('SpectatorJoined'))).toMatchObject({ tableId, spectatorCount: 2 })
    await guest.close()
    expect(await host.next(isGuest('SpectatorLeft'))).toMatchObject({ tableId, spectatorCount: 1 })
  })

  test('leaving: UnsubscribeTable, UnsubscribeChat, LeaveTable; no Error, which would turn the page red', async () => {
    const { tableId, actor } = await playing('c3-leaving')
    for (const type of ['UnsubscribeTable', 'UnsubscribeChat', 'LeaveTable']) actor.send({ type, tableId })
    expect((await settled(actor)).filter(({ type }) => type === 'Error')).toEqual([])
  })

  test('connect, subscribe, receive, disconnect: the whole way of one socket, and its places are free again', async () => {
    const tableId = await createTable('c3-way')
    const before = z.object({ connectionId: z.string() })
    const socket = await login('c3-way')
    const { connectionId } = before.parse(socket.received[0])
    socket.send({ type: 'SubscribeTable', tableId })
    await socket.next('TableSnapshot')
    await gateway.fetch(`/api/tables/${tableId}/spectate`, { userId: 'c3-passer', method: 'POST' })
    await socket.next((message) => isSnapshot(message) && JSON.stringify(message).includes('c3-passer'))
    await socket.close()
    const state = async () =>
      (await gateway.fetch(`/api/tables/${tableId}/state`, { userId: 'c3-way' })).text()
    await expect.poll(state, { timeout: 10_000 }).not.toContain('"user_id":"c3-way"')
    const calls = async () => JSON.stringify(await demo.calls('event', 'PublishEvent'))
    await expect.poll(calls, { timeout: 10_000 }).toContain(`session:${connectionId}:ended`)
    expect(await calls()).toContain(`session:${connectionId}:started`)
  })
})
