/** One gateway in memory, with the demo platform publishing to it by gRPC: the main path, over real processes. */
import { Agent, get } from 'node:http'
import { connect } from 'node:net'
import { once } from 'node:events'
import { connectWs, freePort, type TestMessage } from '@gw/testing'
import { afterAll, expect, test } from 'vitest'
import { z } from 'zod'
import { startSingle } from './harness/fleet.ts'
import { backendsOf, startGateway, tokenOf } from './harness/platform.ts'
import { connectPlayer, type Player } from './harness/player.ts'

// A port of its own for the demo to publish to.
const internalPort = String(await freePort())
const single = await startSingle({
  env: { INTERNAL_PORT: internalPort },
  demo: { GATEWAY_PUBLISH_URL: `127.0.0.1:${internalPort}` },
})
afterAll(() => single[Symbol.asyncDispose]())
const { demo, gateway } = single

const createTable = (userId: string, config: object = {}): Promise<string> =>
  gateway.createTable(userId, { smallBlind: 1, bigBlind: 2, startingStack: 200, ...config })

const stateOf = (message: TestMessage) =>
  message['tableState'] as {
    readonly version: number
    readonly hand: {
      readonly handId: string
      readonly turn: number
      readonly street: string
      readonly endedAt?: string | null
    } | null
    readonly seats: readonly { readonly seatId: number; readonly userId: string | null }[]
  }

async function seat(player: Player, tableId: string, seatId: number): Promise<void> {
  // The daily bonus gives the chips; over HTTP, as the web client joins.
  const joined = await gateway.fetch(`/api/tables/${tableId}/join`, {
    userId: player.userId,
    method: 'POST',
    body: { seatId },
  })
  expect([joined.status, await joined.text()]).toEqual([200, expect.stringContaining('"wsUrl":"ws://')])
}

test('connect, subscribe, act, chat, disconnect: a hand from the blinds to its end, seen by all in one order', async () => {
  const tableId = await createTable('e2e-ann')
  await using ann = await connectPlayer(gateway.wsUrl, 'e2e-ann')
  await using ben = await connectPlayer(gateway.wsUrl, 'e2e-ben')
  await using cat = await connectPlayer(gateway.wsUrl, 'e2e-cat', 'legacy')
  await ann.next('LobbyTablesUpdated')

  for (const player of [ann, ben, cat]) {
    player.send({ type: 'SubscribeTable', tableId })
    const snapshot = await player.next('TableSnapshot')
    expect(snapshot['channel']).toBe(`table:${tableId}`)
  }
  await seat(ann, tableId, 0)
  await seat(ben, tableId, 1)

  const turnOf = (player: Player, seatId: number) =>
    player.next(
      (message) =>
        message.type === 'TableSnapshot' &&
        stateOf(message).hand?.turn === seatId &&
        stateOf(message).hand?.street === 'PREFLOP',
    )
  const begun = await Promise.race([turnOf(ann, 0), turnOf(ann, 1)])
  const [first, second] = stateOf(begun).hand?.turn === 0 ? [ann, ben] : [ben, ann]

  // Each owner gets two cards of their own without asking, and again on a resync; the spectator none.
  const cards: unknown[] = []
  for (const player of [ann, ben]) {
    const brought = await player.next('HoleCards')
    player.send({ type: 'ResyncTable', tableId })
    expect(await player.next('HoleCards')).toEqual(brought)
    cards.push(brought['cards'])
  }
  expect(cards[0]).not.toEqual(cards[1])
  expect(await cat.next('TimerUpdate')).toMatchObject({ tableId, handId: stateOf(begun).hand?.handId })

  const wrong = await second.ask({ type: 'Action', tableId, action: 'Fold' })
  expect(wrong).toMatchObject({ type: 'ActionResult', accepted: false, reason: 'NOT_YOUR_TURN' })
  const stale = await first.ask({ type: 'Action', tableId, action: 'Fold', handId: 'a-hand-of-yesterday' })
  expect(stale).toMatchObject({ type: 'ActionResult', accepted: false, reason: 'stale_hand' })
  const folded = await first.ask({ type: 'Action', tableId, action: 'Fold' })
  expect(folded).toMatchObject({ type: 'ActionResult', accepted: true, reason: '' })
  const ended = (message: TestMessage) =>
    message.type === 'TableSnapshot' && Boolean(stateOf(message).hand?.endedAt)
  for (const player of [ann, ben, cat]) await player.next(ended)

  for (const player of [ann, ben, cat]) {
    player.send({ type: 'SubscribeChat', tableId })
    expect((await player.next('ChatSubscribed'))['history']).toEqual([])
  }
  const said = await ann.ask({ type: 'ChatSend', tableId, message: '  well played  ' })
  expect(said).toMatchObject({ type: 'Ack', duplicate: false })
  for (const player of [ann, ben, cat])
    expect(await player.next('ChatMessage')).toMatchObject({
      tableId,
      message: { userId: 'e2e-ann', text: 'well played' },
    })
  await using dan = await connectPlayer(gateway.wsUrl, 'e2e-dan', 'legacy')
  dan.send({ type: 'ChatSend', tableId, message: 'me too' })
  expect(await dan.next('ChatError')).toMatchObject({ tableId, reason: 'not_seated' })

  const positions = cat.socket.received
    .filter((m) => m['channel'] === `table:${tableId}`)
    .map((m) => Number(m['seq']))
  const sent = cat.socket.received.filter((m) => m.type === 'TableSnapshot').map((m) => stateOf(m).version)
  expect(sent).toEqual([...new Set(sent)].toSorted((a, b) => a - b))
  expect(positions).toEqual(positions.toSorted((a, b) => a - b))
  expect(cat.socket.received.filter(({ type }) => type === 'HoleCards')).toEqual([])
  for (const player of [ann, ben, cat]) player.assertKnownMessages()

  await cat.socket.close()
  // The spectator goes from the table's list.
  await ann.next(
    (message) => message.type === 'TableSnapshot' && !JSON.stringify(stateOf(message)).includes('e2e-cat'),
  )
})

test('frames in one burst with Authenticate, before and behind it, are played in order after Welcome', async () => {
  const tableId = await createTable('e2e-eve')
  const socket = await connectWs(gateway.wsUrl)
  socket.send({ type: 'SubscribeTable', tableId })
  socket.send({ type: 'Authenticate', token: tokenOf('e2e-eve') })
  socket.send({ type: 'SubscribeChat', tableId })
  await socket.next('TableSnapshot')
  await socket.next('ChatSubscribed')
  const types = socket.received.map(({ type }) => type).filter((type) => type !== 'LobbyTablesUpdated')
  expect(types.slice(0, 3)).toEqual(['Welcome', 'TableSnapshot', types[2]])
  expect(types).toContain('ChatSubscribed')
  await socket.close()
})

test('every message gets an answer: unknown, invalid, no JSON, an unknown table', async () => {
  await using fay = await connectPlayer(gateway.wsUrl, 'e2e-fay')
  expect(await fay.ask({ type: 'Nope' })).toMatchObject({
    type: 'Error',
    code: 'unknown_type',
    retryable: false,
  })
  expect(await fay.ask({ type: 'SubscribeTable', tableId: '' })).toMatchObject({
    type: 'Error',
    code: 'invalid_message',
  })
  fay.socket.send('{"type":')
  expect(await fay.next('Error')).toMatchObject({ code: 'invalid_message' })
  expect(await fay.ask({ type: 'SubscribeTable', tableId: 'none' })).toMatchObject({
    type: 'Error',
    code: 'not_found',
    message: 'TABLE_NOT_FOUND',
  })
  expect(await fay.ask({ type: 'Action', tableId: 'none', action: 'Dance' })).toMatchObject({
    type: 'ActionResult',
    accepted: false,
    reason: 'invalid_action',
  })
  expect(await fay.ask({ type: 'Action', tableId: 'none', action: 'Bet' })).toMatchObject({
    type: 'ActionResult',
    reason: 'missing_amount',
  })
  expect(await fay.ask({ type: 'Ping' })).toMatchObject({ type: 'Pong' })
  fay.assertKnownMessages()
})

test('a malformed frame before auth, and a reset in the handshake, hurt nobody', async () => {
  await using neighbour = await connectPlayer(gateway.wsUrl, 'e2e-gus')
  const { port } = new URL(gateway.url)
  const handshake = `GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}\r\n\r\n`
  const raw = connect(Number(port), '127.0.0.1')
  raw.write(handshake)
  await once(raw, 'data')
  // An unmasked text frame: a client must mask (RFC 6455 §5.1).
  raw.write(Buffer.from([0x81, 0x02, 0x68, 0x69]))
  const [answer] = (await once(raw, 'data')) as [Buffer]
  expect(answer[0]).toBe(0x88)
  expect(answer.readUInt16BE(2)).toBe(1002)
  raw.destroy()

  const rude = connect(Number(port), '127.0.0.1')
  rude.write(handshake)
  await once(rude, 'connect')
  rude.resetAndDestroy()

  expect(await neighbour.ask({ type: 'Ping' })).toMatchObject({ type: 'Pong' })
  expect((await gateway.fetch('/health')).status).toBe(200)
})

test('a handshake for another path, or from a foreign page, is refused before the upgrade', async () => {
  await expect(connectWs(gateway.wsUrl.replace('/ws', '/other'))).rejects.toMatchObject({ status: 404 })
  await expect(
    connectWs(gateway.wsUrl, { headers: { origin: 'https://evil.example' } }),
  ).rejects.toMatchObject({ status: 403 })
  const allowed = await connectWs(gateway.wsUrl, { headers: { origin: 'http://localhost:3000' } })
  await allowed.close()
})

test('HTTP: tables, state and profile over gRPC; accounts through the proxy; errors in one shape', async () => {
  const tableId = await createTable('e2e-hal')
  expect(await (await gateway.fetch('/api/tables', { userId: 'e2e-hal' })).json()).toContainEqual(
    expect.objectContaining({ table_id: tableId }),
  )
  const state = await (await gateway.fetch(`/api/tables/${tableId}/state`, { userId: 'e2e-hal' })).json()
  expect(state).toMatchObject({ state: { table_id: tableId, seats: expect.any(Array) }, hole_cards: [] })
  expect(await (await gateway.fetch('/api/me', { userId: 'e2e-hal' })).json()).toMatchObject({
    userId: 'e2e-hal',
    username: 'e2e-hal',
    friends: [],
  })

  const deposit = {
    userId: 'e2e-hal',
    method: 'POST',
    body: { amount: 70, source: 'BONUS' },
    headers: { 'idempotency-key': 'k1' },
  }
  for (const _ of [1, 2])
    expect((await gateway.fetch('/api/accounts/e2e-hal/deposit', deposit)).status).toBe(200)
  expect(
    await (await gateway.fetch('/api/accounts/e2e-hal/balance', { userId: 'e2e-hal' })).json(),
  ).toMatchObject({ balance: 70 })
  expect((await gateway.fetch('/api/accounts/other/balance', { userId: 'e2e-hal' })).status).toBe(403)

  const missing = await gateway.fetch('/api/tables')
  expect([missing.status, await missing.json()]).toEqual([
    401,
    {
      error: 'Missing bearer token',
      code: 'auth_denied',
      message: 'Missing bearer token',
      requestId: expect.any(String),
    },
  ])
  const unknown = await gateway.fetch('/api/tables/none', { userId: 'e2e-hal' })
  expect([unknown.status, await unknown.json()]).toEqual([
    404,
    expect.objectContaining({ error: 'Table not found', code: 'TABLE_NOT_FOUND' }),
  ])
  const broken = await fetch(`${gateway.url}/api/tables`, {
    method: 'POST',
    body: '{',
    headers: { authorization: `Bearer ${tokenOf('e2e-hal')}`, 'content-type': 'application/json' },
  })
  expect([broken.status, await broken.json()]).toEqual([
    400,
    expect.objectContaining({ code: 'invalid_request' }),
  ])
  const nowhere = await gateway.fetch('/api/nowhere', { userId: 'e2e-hal' })
  expect([nowhere.status, await nowhere.json()]).toEqual([
    404,
    expect.objectContaining({ code: 'not_found' }),
  ])
  const twisted = await gateway.fetch('/api/accounts/..%2fsecret', { userId: 'e2e-hal' })
  expect(twisted.status).toBe(400)
})

test('a key of one user never matches another’s', async () => {
  const tableId = await createTable('e2e-ivy')
  const key = { 'idempotency-key': 'the-same' }
  const join = (userId: string, seatId: number) =>
    gateway.fetch(`/api/tables/${tableId}/join`, { userId, method: 'POST', body: { seatId }, headers: key })
  expect((await join('e2e-ivy', 0)).status).toBe(200)
  expect((await join('e2e-ivy', 0)).status).toBe(200)
  const other = await join('e2e-jon', 0)
  expect([other.status, await other.json()]).toEqual([
    400,
    expect.objectContaining({ error: 'SEAT_NOT_AVAILABLE' }),
  ])
})

test('a table is deleted by its owner alone, also twice', async () => {
  const tableId = await createTable('e2e-kim')
  const remove = (userId: string) =>
    gateway.fetch(`/api/tables/${tableId}`, {
      userId,
      method: 'DELETE',
      headers: { 'idempotency-key': 'gone' },
    })
  expect((await remove('e2e-lee')).status).toBe(403)
  expect((await remove('e2e-kim')).status).toBe(204)
  expect((await remove('e2e-kim')).status).toBe(204)
})

test('a name above Latin-1 in a token passes the proxy', async () => {
  const token = tokenOf('e2e-mia', { name: '李雷', preferred_username: '李雷' })
  const response = await fetch(`${gateway.url}/api/accounts/e2e-mia/balance`, {
    headers: { authorization: `Bearer ${token}` },
  })
  expect(response.status).toBe(404)
  expect((await gateway.fetch('/health')).status).toBe(200)
})

test('a backend that fails, stalls or hangs gives its own routes an error in time, and the rest goes on', async () => {
  await using ned = await connectPlayer(gateway.wsUrl, 'e2e-ned')
  await demo.fault({ service: 'game', kind: 'hang' })
  try {
    const [hung, fine] = await Promise.all([
      gateway.fetch('/api/tables', { userId: 'e2e-ned' }),
      gateway.fetch('/api/me', { userId: 'e2e-ned' }),
    ])
    expect([hung.status, await hung.json()]).toEqual([
      504,
      expect.objectContaining({ error: 'Failed to list tables', code: 'timeout' }),
    ])
    expect(hung.headers.get('retry-after')).toBe('1')
    expect(fine.status).toBe(200)
    expect(await ned.ask({ type: 'SubscribeTable', tableId: 'x' })).toMatchObject({
      type: 'Error',
      code: 'timeout',
      retryable: true,
    })
  } finally {
    await demo.clearFaults()
  }
  await demo.fault({
    service: 'game',
    method: 'ListTables',
    kind: 'error',
    code: 'UNAVAILABLE',
    details: 'away',
  })
  try {
    expect((await gateway.fetch('/api/tables', { userId: 'e2e-ned' })).status).toBe(503)
  } finally {
    await demo.clearFaults()
  }
  // The breaker may have opened meanwhile; it tries again by itself.
  const status = async () => (await gateway.fetch('/api/tables', { userId: 'e2e-ned' })).status
  await expect.poll(status, { timeout: 10_000, interval: 100 }).toBe(200)
})

test('metrics have the contract’s names and come back to zero; no token is in the logs', async () => {
  const scrape = async () => (await fetch(gateway.metricsUrl)).text()
  const sockets = (text: string) =>
    Number(/^gateway_ws_active_connections\{client_type="web"\} (\d+)$/m.exec(text)?.[1])
  const player = await connectPlayer(gateway.wsUrl, 'e2e-oda')
  expect(sockets(await scrape())).toBeGreaterThanOrEqual(1)
  await player.socket.close()
  // The last sockets of earlier tests may still be closing.
  await expect.poll(async () => sockets(await scrape())).toBe(0)
  const text = await scrape()
  for (const name of [
    'process_cpu_user_seconds_total',
    'gateway_ws_active_connections',
    'gateway_http_request_duration_seconds_bucket',
  ])
    expect(text).toContain(name)
  expect(text).toContain('route="/api/tables/:tableId/state"')
  expect(text).not.toContain('/api/nowhere')
  expect(gateway.process.output()).not.toMatch(/eyJ[\w-]+\.[\w-]+\.[\w-]+/)
  expect(gateway.process.lines.filter(({ level }) => level === 'error')).toEqual([])
})

test('SIGTERM: sockets are told to come back, the process ends with 0', async () => {
  await using own = await startGateway({ ...backendsOf(demo), INTERNAL_PORT: '0' })
  const player = await connectPlayer(own.wsUrl, 'e2e-pat')
  const gone = own.process.kill('SIGTERM')
  expect(await player.socket.closed).toEqual({ code: 1012, reason: 'restart' })
  expect(await gone).toEqual({ code: 0, signal: null })
})

test('SIGTERM: who watched is no spectator any more, though Game takes its time', async () => {
  await using own = await startGateway({ ...backendsOf(demo), INTERNAL_PORT: '0' })
  const tableId = await createTable('e2e-una')
  const names = Array.from({ length: 5 }, (_, at) => `e2e-una-${at}`)
  const players = await Promise.all(names.map((name) => connectPlayer(own.wsUrl, name)))
  for (const player of players) await player.ask({ type: 'SubscribeTable', tableId })
  const spectators = async (): Promise<unknown> => {
    const response = await gateway.fetch(`/api/tables/${tableId}/state`, { userId: 'e2e-una' })
    return z.object({ state: z.object({ spectators: z.array(z.unknown()) }) }).parse(await response.json())
      .state.spectators.length
  }
  await expect.poll(spectators).toBe(names.length)
  await demo.fault({ service: 'game', method: 'LeaveSpectator', kind: 'delay', delayMs: 300 })
  try {
    expect(await own.process.kill('SIGTERM')).toEqual({ code: 0, signal: null })
  } finally {
    await demo.clearFaults()
  }
  expect(await spectators()).toBe(0)
})

test('SIGTERM ends within its time, though a proxied request hangs at its backend', async () => {
  await using own = await startGateway({
    ...backendsOf(demo),
    PROXY_TIMEOUT_MS: '120000',
    SHUTDOWN_TIMEOUT_MS: '2000',
  })
  await demo.fault({ service: 'balance-http', kind: 'hang' })
  try {
    const hung = own.fetch('/api/accounts/e2e-sue/balance', { userId: 'e2e-sue' }).catch(() => 'cut')
    await expect
      .poll(async () => {
        const calls = await fetch(`http://127.0.0.1:${demo.ports.control}/calls?service=balance-http`)
        return (await calls.text()).includes('balance')
      })
      .toBe(true)
    // The exit itself is the proof: the backend's own deadline is two minutes away.
    await own.process.kill('SIGTERM')
    await hung
  } finally {
    await demo.clearFaults()
  }
})

test('SIGTERM cuts no request off: what comes on an open connection is answered', async () => {
  await using own = await startGateway({ ...backendsOf(demo), INTERNAL_PORT: '0' })
  const agent = new Agent({ keepAlive: true })
  let answered = 0
  const failures = new Set<string>()
  const once = (): Promise<void> =>
    new Promise((resolve, reject) => {
      get(`${own.url}/health`, { agent }, (response) => {
        answered += 1
        response.resume().once('end', resolve)
      }).once('error', reject)
    })
  /** Until nobody listens any more. */
  async function askOn(): Promise<void> {
    try {
      for (;;) await once()
    } catch (error) {
      failures.add(error instanceof Error && 'code' in error ? String(error.code) : String(error))
    }
  }
  const clients = Array.from({ length: 8 }, askOn)
  await expect.poll(() => answered).toBeGreaterThan(100)
  expect(await own.process.kill('SIGTERM')).toEqual({ code: 0, signal: null })
  await Promise.all(clients)
  expect([...failures]).toEqual(['ECONNREFUSED'])
  agent.destroy()
})

test('SIGTERM ends within its time, though what a client asked for hangs at its backend', async () => {
  await using own = await startGateway({
    ...backendsOf(demo),
    INTERNAL_PORT: '0',
    GRPC_CLIENT_TIMEOUT_MS: '120000',
    SHUTDOWN_TIMEOUT_MS: '2000',
  })
  const tableId = await createTable('e2e-tom')
  const player = await connectPlayer(own.wsUrl, 'e2e-tom')
  await demo.forgetCalls()
  await demo.fault({ service: 'game', method: 'LeaveSeat', kind: 'hang' })
  try {
    player.send({ type: 'LeaveTable', tableId, id: 'hangs' })
    await expect.poll(() => demo.calls('game', 'LeaveSeat')).toHaveLength(1)
    // The exit itself is the proof: the call's own deadline is two minutes away.
    expect(await own.process.kill('SIGTERM')).toEqual({ code: 0, signal: null })
    expect(await player.socket.closed).toEqual({ code: 1012, reason: 'restart' })
  } finally {
    await demo.clearFaults()
  }
})
