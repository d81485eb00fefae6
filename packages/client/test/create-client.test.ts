import { features, limits } from '@gw/protocol'
import { describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket as WsWebSocket } from 'ws'
import { type Client, ClientError, type ClientOptions, createClient } from '@gw/client'
import { TestGateway } from './test-gateway.ts'
import { watchClient } from './watch-client.ts'

const fast = { baseMs: 10, maxMs: 10, stableMs: 60_000 }

async function setUp(
  options: Partial<ClientOptions> = {},
): Promise<{ gateway: TestGateway; client: Client }> {
  const gateway = await TestGateway.start()
  const client = createClient({
    url: gateway.url,
    token: 'secret',
    backoff: fast,
    random: () => 0.5,
    ...options,
  })
  onTestFinished(async () => {
    client.close()
    await gateway[Symbol.asyncDispose]()
  })
  return { gateway, client }
}

describe('connect', () => {
  test.each([
    ["Node's own WebSocket", undefined],
    ['the WebSocket of ws', WsWebSocket],
  ])('says hello first and opens with Welcome, on %s', async (_name, WebSocket) => {
    const { gateway, client } = await setUp(WebSocket ? { WebSocket } : {})
    const states = watchClient(client, 'state')
    expect(client.state).toBe('idle')
    expect(await client.connect()).toBe(true)
    expect([client.state, client.userId]).toEqual(['open', 'alice'])
    expect(states.seen.map(({ state }) => state)).toEqual(['connecting', 'open'])
    const peer = await gateway.nextPeer()
    expect(peer.received).toEqual([{ type: 'Authenticate', token: 'secret', features: [...features] }])
    expect(await client.connect()).toBe(true)
  })

  test('does nothing before it is called', async () => {
    const { gateway, client } = await setUp()
    client.reconnect()
    expect([client.state, client.send({ type: 'Ping' }), gateway.peers]).toEqual(['idle', false, []])
  })

  test('tries again, within the bounds of the backoff, when no Welcome comes', async () => {
    const { gateway, client } = await setUp({ connectTimeoutMs: 30 })
    gateway.override = () => gateway.peers.length === 1
    const states = watchClient(client, 'state')
    expect(await client.connect()).toBe(true)
    const waiting = states.seen.filter(({ state }) => state === 'waiting')
    expect(waiting).toEqual([{ state: 'waiting', code: 1006, reason: 'connect_timeout', retryInMs: 5 }])
  })

  test('ends for good on a URL that is none', async () => {
    const { client } = await setUp({ url: 'not a url' })
    const errors = watchClient(client, 'error')
    expect(await client.connect()).toBe(false)
    expect(client.state).toBe('closed')
    expect(errors.seen).toMatchObject([{ stage: 'connect' }])
  })

  test.each([
    { maxPending: 0 },
    { requestTimeoutMs: Number.NaN },
    { requestTimeoutMs: Infinity },
    { connectTimeoutMs: 2 ** 31 },
    { backoff: { baseMs: -1 } },
    { backoff: { maxMs: Infinity } },
  ])('refuses the options %o at once', (options) => {
    expect(() => createClient({ url: 'ws://127.0.0.1:1', token: 't', ...options })).toThrow(
      expect.objectContaining({ code: 'invalid_options' }),
    )
  })
})

describe('requests', () => {
  test('are answered by their id, whatever comes between', async () => {
    const { gateway, client } = await setUp()
    gateway.override = (peer, message) => {
      if (message.type !== 'Ping') return false
      peer.send({ type: 'Pong', at: '2026-01-01T00:00:00.000Z' })
      peer.send({ type: 'Heartbeat', at: '2026-01-01T00:00:00.000Z' })
      return false
    }
    await client.connect()
    const [pong, action] = await Promise.all([
      client.request({ type: 'Ping' }),
      client.request({ type: 'Action', tableId: 'T1', action: 'Fold' }),
    ])
    expect(pong).toMatchObject({ ok: true, reply: { type: 'Pong', id: expect.any(String) } })
    expect(action).toMatchObject({ ok: true, reply: { accepted: false, reason: 'NOT_YOUR_TURN' } })
  })

  test('give back what the server refuses, typed', async () => {
    const { gateway, client } = await setUp()
    gateway.override = (peer, { type, id = '' }) => {
      if (type === 'JoinSeat')
        peer.send({ type: 'Error', id, message: 'SEAT_NOT_AVAILABLE', code: 'refused' })
      if (type === 'ChatSend')
        peer.send({ type: 'ChatError', id, tableId: 'T1', reason: 'rate_limited', retryAfterMs: 40 })
      if (type === 'Ping') peer.send({ type: 'Ack', id })
      return type !== 'Authenticate'
    }
    await client.connect()
    expect(await client.request({ type: 'JoinSeat', tableId: 'T1', seatId: 1 })).toEqual({
      ok: false,
      code: 'refused',
      message: 'SEAT_NOT_AVAILABLE',
      retryable: false,
    })
    expect(await client.request({ type: 'ChatSend', tableId: 'T1', message: 'hi' })).toEqual({
      ok: false,
      code: 'rate_limited',
      message: 'rate_limited',
      retryable: true,
      retryAfterMs: 40,
    })
    expect(await client.request({ type: 'Ping' })).toMatchObject({ ok: false, code: 'unexpected_reply' })
  })

  test('wait for a connection, in order', async () => {
    const { gateway, client } = await setUp()
    const answers = [1, 2, 3].map((n) => client.request({ type: 'ChatSend', tableId: 'T1', message: `${n}` }))
    await client.connect()
    expect(await Promise.all(answers)).toMatchObject([{ ok: true }, { ok: true }, { ok: true }])
    const [, ...sent] = (await gateway.nextPeer()).received
    expect(sent).toMatchObject([{ message: '1' }, { message: '2' }, { message: '3' }])
  })

  test('are sent again under the same id when the link is cut before the answer', async () => {
    const { gateway, client } = await setUp()
    gateway.override = (peer, { type }) => {
      if (type !== 'ChatSend' || gateway.peers.length > 1) return false
      peer.cut()
      return true
    }
    await client.connect()
    expect(await client.request({ type: 'ChatSend', tableId: 'T1', message: 'hi' })).toMatchObject({
      ok: true,
    })
    const [first, second] = await Promise.all(gateway.peers.map((peer) => peer.next('ChatSend')))
    expect(first?.id).toBeDefined()
    expect(second).toEqual(first)
  })

  test('are asked again after the time that the server names, when it may help', async () => {
    const { gateway, client } = await setUp()
    let asked = 0
    gateway.override = (peer, { type, id = '' }) => {
      if (type !== 'JoinSeat' || ++asked > 2) return false
      peer.send({ type: 'Error', id, message: 'down', code: 'unavailable', retryable: true, retryAfterMs: 1 })
      return true
    }
    await client.connect()
    expect(await client.request({ type: 'JoinSeat', tableId: 'T1', seatId: 1 })).toMatchObject({ ok: true })
    const ids = (await gateway.nextPeer()).received
      .filter(({ type }) => type === 'JoinSeat')
      .map(({ id }) => id)
    expect(ids).toHaveLength(3)
    expect(new Set(ids).size).toBe(1)
  })

  test('end after their time, at their bound, and when they are too big', async () => {
    const { gateway, client } = await setUp({ maxPending: 2 })
    gateway.override = (_peer, { type }) => type !== 'Authenticate'
    const waiting = [client.request({ type: 'Ping' }, 10), client.request({ type: 'Ping' }, 10)]
    expect(await client.request({ type: 'Ping' })).toMatchObject({
      ok: false,
      code: 'queue_full',
      retryable: true,
    })
    expect(await Promise.all(waiting)).toMatchObject([{ code: 'timeout' }, { code: 'timeout' }])
    const message = 'é'.repeat(limits.maxPayloadBytes / 2)
    expect(await client.request({ type: 'ChatSend', tableId: 'T1', message })).toMatchObject({
      code: 'payload_too_large',
    })
  })

  test('are not sent, and change nothing, when there is no room for them', async () => {
    const { gateway, client } = await setUp({ maxPending: 1 })
    gateway.override = (_peer, { type }) => type === 'Action'
    await client.connect()
    await client.request({ type: 'SubscribeChat', tableId: 'T1' })
    const held = client.request({ type: 'Action', tableId: 'T1', action: 'Fold' })
    for (const message of [
      { type: 'ChatSend', tableId: 'T1', message: 'hi' },
      { type: 'UnsubscribeChat', tableId: 'T1' },
      { type: 'SetAway', away: true },
    ] as const)
      expect(await client.request(message)).toMatchObject({ ok: false, code: 'queue_full' })
    expect(Object.keys(client.positions())).toEqual(['chat:T1'])
    const states = watchClient(client, 'state')
    const first = await gateway.nextPeer()
    client.send({ type: 'Ping' })
    await first.next('Ping')
    first.cut()
    await states.next(({ state }) => state === 'open')
    const second = await gateway.nextPeer()
    client.send({ type: 'Ping' })
    await second.next('Ping')
    const sent = [first, second].map(({ received }) => received.map(({ type }) => type))
    expect(sent).toEqual([
      ['Authenticate', 'SubscribeChat', 'Action', 'Ping'],
      ['Authenticate', 'Action', 'Ping'],
    ])
    client.close()
    expect(await held).toMatchObject({ code: 'closed' })
  })

  test('of the caller do not keep the client from restoring what it had', async () => {
    const { gateway, client } = await setUp({ maxPending: 1 })
    gateway.override = (_peer, { type }) => type === 'Action'
    await client.connect()
    await client.request({ type: 'SetAway', away: true })
    void client.request({ type: 'Action', tableId: 'T1', action: 'Fold' })
    const first = await gateway.nextPeer()
    await first.next('Action')
    first.cut()
    const second = await gateway.nextPeer()
    expect(await second.next('SetAway')).toMatchObject({ away: true })
  })

  test('have room beside what the client restores', async () => {
    const { gateway, client } = await setUp({ maxPending: 1 })
    gateway.override = (_peer, { type }) => type === 'SetAway' && gateway.peers.length > 1
    await client.connect()
    await client.request({ type: 'SetAway', away: true })
    gateway.peers[0]?.cut()
    await watchClient(client, 'state').next(({ state }) => state === 'open')
    await gateway.peers[1]?.next('SetAway')
    expect(await client.request({ type: 'Ping' })).toMatchObject({ ok: true })
  })

  test('with an id that waits get its one answer, each within its own time', async () => {
    const { gateway, client } = await setUp()
    const answers: (() => void)[] = []
    gateway.override = (peer, { type, id = '' }) => {
      if (type === 'ChatSend') answers.push(() => peer.send({ type: 'Ack', id }))
      return type === 'ChatSend'
    }
    await client.connect()
    const message = { type: 'ChatSend', tableId: 'T1', message: 'hi', id: 'mine' } as const
    const [short, long, endless] = [10, 15_000, Infinity].map((timeoutMs) =>
      client.request(message, timeoutMs),
    )
    expect(await client.request({ ...message, message: 'ho' })).toMatchObject({ ok: false, code: 'conflict' })
    expect(await short).toMatchObject({ ok: false, code: 'timeout' })
    const peer = await gateway.nextPeer()
    await peer.next('ChatSend')
    answers[0]?.()
    expect(await Promise.all([long, endless])).toMatchObject([{ ok: true }, { ok: true }])
    expect(peer.received.filter(({ type }) => type === 'ChatSend')).toEqual([message])
  })

  test('are sent again under their id after its time is over', async () => {
    const { gateway, client } = await setUp()
    let sent = 0
    gateway.override = (_peer, { type }) => type === 'ChatSend' && ++sent === 1
    await client.connect()
    const message = { type: 'ChatSend', tableId: 'T1', message: 'hi', id: 'mine' } as const
    expect(await client.request(message, 10)).toMatchObject({ code: 'timeout' })
    expect(await client.request(message)).toMatchObject({ ok: true })
    expect(sent).toBe(2)
  })

  test('have ids that two clients never share', async () => {
    const { gateway, client } = await setUp()
    const other = createClient({ url: gateway.url, token: 'secret' })
    await Promise.all([client.connect(), other.connect()])
    await Promise.all([client.request({ type: 'Ping' }), other.request({ type: 'Ping' })])
    const pings = await Promise.all(gateway.peers.map((peer) => peer.next('Ping')))
    expect(new Set(pings.map(({ id }) => id)).size).toBe(2)
    for (const { id = '' } of pings) expect(id.length).toBeLessThanOrEqual(limits.maxIdLength)
    other.close()
  })
})

describe('reconnecting', () => {
  test('asks for another token when one was refused, and gives up on the same', async () => {
    const reasons: string[] = []
    const tokens = ['old', 'new', 'new']
    const { gateway, client } = await setUp({
      token: (reason) => {
        reasons.push(reason)
        return tokens[reasons.length - 1] ?? 'none'
      },
    })
    gateway.override = (peer, message) => {
      if (message.type !== 'Authenticate' || message.token !== 'old') return false
      peer.close(1008, 'Unauthorized')
      return true
    }
    expect(await client.connect()).toBe(true)
    expect(reasons).toEqual(['connect', 'refused'])
    const states = watchClient(client, 'state')
    gateway.peers[1]?.close(4001, 'token_expired')
    expect(await states.next(({ state }) => state === 'closed')).toMatchObject({
      code: 1008,
      reason: 'token_refused',
    })
    expect(reasons).toEqual(['connect', 'refused', 'refused'])
  })

  test('takes a new token that came too late for the connection before', async () => {
    let renew = (_token: string): void => {}
    const { gateway, client } = await setUp({
      token: (reason) => {
        if (reason === 'expiring') return new Promise<string>((resolve) => (renew = resolve))
        return reason === 'connect' ? 'old' : 'new'
      },
    })
    await client.connect()
    const states = watchClient(client, 'state')
    const peer = await gateway.nextPeer()
    peer.send({ type: 'TokenExpiring', expiresAt: '2026-01-01T00:00:00.000Z' })
    peer.close(4001, 'token_expired')
    await states.next(({ state }) => state === 'waiting')
    renew('new')
    expect(await states.next(({ state }) => state !== 'connecting')).toEqual({ state: 'open' })
    expect(await gateway.peers[1]?.next('Authenticate')).toMatchObject({ token: 'new' })
  })

  test('takes a token that it had no connection to send on for another than the refused one', async () => {
    let renew = (_token: string): void => {}
    const tokens = ['old', 'refused', 'new']
    const { gateway, client } = await setUp({
      token: (reason) =>
        reason === 'expiring'
          ? new Promise<string>((resolve) => (renew = resolve))
          : (tokens.shift() ?? 'none'),
    })
    gateway.override = (_peer, message) => message.type === 'Authenticate' && message.token === 'refused'
    await client.connect()
    const states = watchClient(client, 'state')
    const expiring = watchClient(client, 'TokenExpiring')
    const first = await gateway.nextPeer()
    first.send({ type: 'TokenExpiring', expiresAt: '2026-01-01T00:00:00.000Z' })
    await expiring.next()
    first.cut()
    const second = await gateway.nextPeer()
    await second.next('Authenticate')
    renew('new')
    second.close(1008, 'Unauthorized')
    await states.next(({ reason }) => reason === 'Unauthorized')
    expect(await states.next(({ state }) => state !== 'connecting')).toEqual({ state: 'open' })
  })

  test('tries a new token again when the link was lost before the server judged it', async () => {
    const { gateway, client } = await setUp({ token: (reason) => (reason === 'connect' ? 'old' : 'new') })
    gateway.override = (peer, message) => {
      if (message.type !== 'Authenticate' || gateway.peers.length !== 2) return false
      peer.cut()
      return true
    }
    await client.connect()
    const states = watchClient(client, 'state')
    gateway.peers[0]?.close(4001, 'token_expired')
    const end = await states.next(({ state }) => state === 'open' || state === 'closed')
    expect([end.state, gateway.peers.length]).toEqual(['open', 3])
  })

  test.each([
    [4500, 'revoked'],
    [1009, 'too_big'],
    [4777, 'later'],
  ])('stops at the final close %i', async (code, reason) => {
    const { gateway, client } = await setUp()
    await client.connect()
    const states = watchClient(client, 'state')
    const peer = await gateway.nextPeer()
    peer.close(code, reason)
    expect(await states.next()).toEqual({ state: 'closed', code, reason })
    expect(gateway.peers).toHaveLength(1)
    expect(() => client.connect()).toThrow(ClientError)
  })

  test.each([[1001], [1011], [1012], [1013], [4008], [4499]])(
    'comes back after the close %i',
    async (code) => {
      const { gateway, client } = await setUp()
      await client.connect()
      const states = watchClient(client, 'state')
      const peer = await gateway.nextPeer()
      peer.close(code, 'word')
      expect(await states.next()).toEqual({ state: 'waiting', code, reason: 'word', retryInMs: 5 })
      await states.next(({ state }) => state === 'open')
    },
  )

  test('comes back when the server falls silent for twice its heartbeat', async () => {
    const { gateway, client } = await setUp()
    gateway.heartbeatMs = 15
    const states = watchClient(client, 'state')
    await client.connect()
    expect(await states.next(({ state }) => state === 'waiting')).toMatchObject({
      code: 1006,
      reason: 'no_heartbeat',
    })
    await states.next(({ state }) => state === 'open')
  })

  test('moves when the server asks, after the time that it names and without backoff', async () => {
    const { gateway, client } = await setUp({ backoff: { baseMs: 60_000, maxMs: 60_000 } })
    await client.connect()
    const states = watchClient(client, 'state')
    const peer = await gateway.nextPeer()
    peer.send({ type: 'Reconnect', afterMs: 20, reason: 'drain' })
    expect(await states.next()).toMatchObject({ state: 'waiting', reason: 'moving', retryInMs: 0 })
    await states.next(({ state }) => state === 'open')
    expect(gateway.peers).toHaveLength(2)
  })

  test('waits out what is left of the hint when the server closes before', async () => {
    let now = 1000
    const { gateway, client } = await setUp({ now: () => now, backoff: { baseMs: 60_000, maxMs: 60_000 } })
    await client.connect()
    const states = watchClient(client, 'state')
    const hints = watchClient(client, 'Reconnect')
    const peer = await gateway.nextPeer()
    peer.send({ type: 'Reconnect', afterMs: 500, reason: 'drain' })
    await hints.next()
    now += 480
    peer.close(1012, 'restart')
    expect(await states.next()).toEqual({ state: 'waiting', code: 1012, reason: 'restart', retryInMs: 20 })
    await states.next(({ state }) => state === 'open')
  })

  test('does so at once when told, also while waiting', async () => {
    const { gateway, client } = await setUp({ backoff: { baseMs: 60_000, maxMs: 60_000 } })
    await client.connect()
    const states = watchClient(client, 'state')
    const peer = await gateway.nextPeer()
    peer.cut()
    await states.next(({ state }) => state === 'waiting')
    client.reconnect()
    await states.next(({ state }) => state === 'open')
    client.reconnect()
    await states.next(({ state }) => state === 'open')
    expect(gateway.peers).toHaveLength(3)
  })

  test('goes on trying while the token cannot be had, and says so', async () => {
    let calls = 0
    const { client } = await setUp({
      connectTimeoutMs: 20,
      token: () => {
        calls++
        if (calls === 1) throw new Error('login page')
        return calls === 2 ? new Promise<string>(() => {}) : 'secret'
      },
    })
    const errors = watchClient(client, 'error')
    expect(await client.connect()).toBe(true)
    expect(errors.seen).toMatchObject([{ stage: 'token' }, { stage: 'token' }])
  })

  test('renews the token on the open socket', async () => {
    const tokens: Record<string, string> = { connect: 'old', expiring: 'new' }
    const { gateway, client } = await setUp({ token: (reason) => tokens[reason] ?? '' })
    await client.connect()
    const peer = await gateway.nextPeer()
    await peer.next('Authenticate')
    peer.send({ type: 'TokenExpiring', expiresAt: '2026-01-01T00:00:00.000Z' })
    expect(await peer.next('Authenticate')).toEqual({ type: 'Authenticate', token: 'new' })
    expect(client.state).toBe('open')
  })

  test('tells the new connection what the old one knew of the lobby, presence and being away', async () => {
    const { gateway, client } = await setUp()
    await client.connect()
    const [first] = gateway.peers
    await client.request({ type: 'UnsubscribeLobby' })
    await client.request({ type: 'SetAway', away: true })
    await client.request({ type: 'SubscribePresence', userIds: ['bob', 'carol'] })
    await client.request({ type: 'UnsubscribePresence', userIds: ['carol'] })
    const states = watchClient(client, 'state')
    first?.cut()
    await states.next(({ state }) => state === 'open')
    const second = gateway.peers[1]
    expect(await second?.next('UnsubscribeLobby')).toBeDefined()
    expect(await second?.next('SetAway')).toMatchObject({ away: true })
    expect(await second?.next('SubscribePresence')).toMatchObject({ userIds: ['bob'] })
  })

  test('tells it once, and thinks nobody lost, when the connection before owed the answer', async () => {
    const { gateway, client } = await setUp({ requestTimeoutMs: 400 })
    await client.connect()
    const lost = watchClient(client, 'lost')
    await client.request({ type: 'SubscribePresence', userIds: ['bob'] })
    gateway.override = (_peer, { type }) =>
      type === 'SetTyping' || (type === 'SubscribePresence' && gateway.peers.length === 2)
    const [first, second, third] = [gateway.nextPeer(), gateway.nextPeer(), gateway.nextPeer()]
    for (const next of [first, second]) {
      const peer = await next
      await peer.next('SubscribePresence')
      peer.cut()
    }
    const last = await third
    await last.next('SubscribePresence')
    // Over only after what was asked before it.
    expect(await client.request({ type: 'SetTyping', tableId: 'T1' })).toMatchObject({ code: 'timeout' })
    expect(last.received.map(({ type }) => type)).toEqual(['Authenticate', 'SubscribePresence', 'SetTyping'])
    expect(lost.seen).toEqual([])
  })
})

describe('close', () => {
  test('is final: the socket ends, what waits fails, nothing comes back', async () => {
    const { gateway, client } = await setUp()
    gateway.override = (_peer, { type }) => type === 'Ping'
    await client.connect()
    const peer = await gateway.nextPeer()
    const ping = client.request({ type: 'Ping' })
    await peer.next('Ping')
    client.close()
    client.close()
    expect(await ping).toMatchObject({ ok: false, code: 'closed', retryable: false })
    await peer.closed
    expect(await client.request({ type: 'Ping' })).toMatchObject({ code: 'closed' })
    expect(() => client.connect()).toThrow(ClientError)
    client.reconnect()
    expect([client.state, gateway.peers.length]).toEqual(['closed', 1])
  })

  test('ends the wait of connect', async () => {
    const { gateway, client } = await setUp()
    gateway.override = () => true
    const outcome = client.connect()
    await gateway.nextPeer()
    client.close()
    expect(await outcome).toBe(false)
  })
})

describe('listeners', () => {
  test('that throw are reported and stop nobody', async () => {
    const { client } = await setUp()
    const errors = watchClient(client, 'error')
    client.on('Welcome', () => {
      throw new Error('mine')
    })
    const welcomes = watchClient(client, 'Welcome')
    const all = watchClient(client, 'message')
    await client.connect()
    expect(errors.seen).toMatchObject([{ stage: 'listener', error: new Error('mine') }])
    expect([welcomes.seen.length, all.seen.length]).toEqual([1, 1])
  })

  test('hear no more after they are taken off', async () => {
    const { client } = await setUp()
    let heard = 0
    const off = client.on('Pong', () => heard++)
    await client.connect()
    await client.request({ type: 'Ping' })
    off()
    await client.request({ type: 'Ping' })
    expect(heard).toBe(1)
  })
})
