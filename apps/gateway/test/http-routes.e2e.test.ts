/** Every HTTP route of the contract (§1.2, §1.3) against the demo platform: status and shape of the answer. */
import { afterAll, describe, expect, test } from 'vitest'
import { startSingle } from './harness/fleet.ts'
import { backendsOf, startGateway } from './harness/platform.ts'

const single = await startSingle({
  env: { VAPID_PUBLIC_KEY: 'public-key' },
  demo: { HAND_START_DELAY_MS: '600000' },
})
afterAll(() => single[Symbol.asyncDispose]())
const { demo, gateway } = single
const tableId = await gateway.createTable('ann', {
  smallBlind: 5,
  bigBlind: 10,
  maxPlayers: 6,
  startingStack: 300,
  turnTimerSeconds: 30,
})

/** `request` is method and path, as in the table below. */
async function call(request: string, body?: unknown, userId = 'ann') {
  const [method = '', path = ''] = request.split(' ')
  const response = await gateway.fetch(path.replace(':table', tableId), {
    method,
    userId,
    ...(body !== undefined && { body }),
  })
  const text = await response.text()
  return {
    status: response.status,
    body: text === '' ? '' : (JSON.parse(text) as unknown),
    headers: response.headers,
  }
}

const error = (text: string) =>
  expect.objectContaining({ error: text, message: text, code: expect.any(String) })
const string = expect.any(String)
const timestamp = { seconds: expect.stringMatching(/^\d+$/), nanos: expect.any(Number) }
const config = {
  small_blind: '5',
  big_blind: '10',
  ante: '0',
  max_players: 6,
  starting_stack: '300',
  turn_timer_seconds: 30,
}
const table = {
  table_id: string,
  name: 'Table of ann',
  owner_id: 'ann',
  config,
  status: 'WAITING',
  created_at: timestamp,
}
const summary = {
  table_id: string,
  name: string,
  owner_id: string,
  config: expect.any(Object),
  seats_taken: expect.any(Number),
  occupied_seat_ids: expect.any(Array),
  in_progress: false,
  spectator_count: expect.any(Number),
}
const me = {
  userId: 'ann',
  username: 'ann',
  nickname: string,
  avatarUrl: expect.toSatisfy((url) => url === null || typeof url === 'string'),
  stats: { handsPlayed: 0, wins: 0 },
  friends: expect.any(Array),
}

type Row = readonly [request: string, body: unknown, status: number, answer: unknown]

/** Played in order: later rows see what earlier ones did. */
const rows: readonly Row[] = [
  ['GET /api/tables', undefined, 200, expect.arrayContaining([summary])],
  ['POST /api/tables', { name: '' }, 400, error('Invalid request')],
  ['POST /api/tables', { name: 'x', config: { smallBlind: 5, bigBlind: 6 } }, 400, error('Invalid request')],
  ['POST /api/tables', { name: 'x', config: { smallBlind: 5, ante: 5 } }, 400, error('Invalid request')],
  ['POST /api/tables', { name: 'x', config: { maxPlayers: 10 } }, 400, error('Invalid request')],
  [
    'POST /api/tables',
    { name: 'Defaults' },
    201,
    expect.objectContaining({
      config: {
        small_blind: '1',
        big_blind: '2',
        ante: '0',
        max_players: 9,
        starting_stack: '200',
        turn_timer_seconds: 20,
      },
    }),
  ],
  ['POST /api/tables', { name: 'x'.repeat(256) }, 201, expect.objectContaining({ name: 'x'.repeat(256) })],
  ['POST /api/tables', { name: 'x'.repeat(1001) }, 400, error('Invalid request')],
  ['GET /api/tables/:table', undefined, 200, table],
  ['GET /api/tables/none', undefined, 404, error('Table not found')],
  [
    'GET /api/tables/:table/state',
    undefined,
    200,
    {
      hole_cards: [],
      state: expect.objectContaining({
        table_id: string,
        version: expect.any(Number),
        updated_at: timestamp,
        spectators: [],
      }),
    },
  ],
  ['GET /api/tables/none/state', undefined, 404, error('Table not found')],
  ['POST /api/tables/:table/join', {}, 400, error('seatId is required')],
  ['POST /api/tables/:table/join', { seatId: 9 }, 400, error('seatId is required')],
  [
    'POST /api/tables/:table/join',
    { seatId: '0', buyInAmount: '300' },
    200,
    { tableId: string, seatId: 0, wsUrl: expect.stringMatching(/^ws:\/\/127\.0\.0\.1:\d+\/ws$/) },
  ],
  ['POST /api/tables/:table/seats/2/join', { buyInAmount: 100 }, 400, error('ALREADY_SEATED')],
  ['POST /api/tables/none/join', { seatId: 1 }, 400, error('TABLE_NOT_FOUND')],
  ['POST /api/tables/:table/spectate', undefined, 200, { ok: true }],
  ['POST /api/tables/:table/spectate/leave', undefined, 200, { ok: true }],
  ['POST /api/tables/none/spectate', undefined, 400, error('TABLE_NOT_FOUND')],
  ['POST /api/tables/:table/action', { actionType: 'BET' }, 400, error('Invalid request')],
  ['POST /api/tables/:table/action', { actionType: 'dance' }, 400, error('Invalid request')],
  ['POST /api/tables/:table/action', { actionType: 'call' }, 400, error('NO_HAND_IN_PROGRESS')],
  ['POST /api/tables/:table/moderation/mute', {}, 400, error('seatId is required')],
  ['POST /api/tables/:table/moderation/mute', { seatId: 4 }, 404, error('Seat not occupied')],
  [
    'POST /api/tables/:table/moderation/mute',
    { seatId: 0 },
    200,
    { tableId: string, seatId: 0, userId: 'ann', action: 'mute' },
  ],
  ['POST /api/tables/:table/unmute', { targetUserId: 'ann' }, 200, { ok: true }],
  ['POST /api/tables/:table/mute', {}, 400, error('targetUserId is required')],
  ['POST /api/tables/:table/leave', undefined, 200, { ok: true }],
  ['POST /api/tables/:table/leave', undefined, 400, error('PLAYER_NOT_AT_TABLE')],
  ['GET /api/me', undefined, 200, me],
  [
    'PUT /api/me',
    { nickname: 'Annie', avatarUrl: 'https://example.invalid/a.png' },
    200,
    { ...me, nickname: 'Annie', avatarUrl: 'https://example.invalid/a.png' },
  ],
  [
    'PUT /api/me',
    { nickname: 'Anna' },
    200,
    { ...me, nickname: 'Anna', avatarUrl: 'https://example.invalid/a.png' },
  ],
  ['POST /api/profile', { avatarUrl: null }, 200, { ...me, nickname: 'Anna', avatarUrl: null }],
  ['PUT /api/me', { avatarUrl: 'no url' }, 400, error('Failed to update profile')],
  [
    'GET /api/me/statistics',
    undefined,
    200,
    expect.objectContaining({ user_id: 'ann', hands_played: 0, wins: 0, vpip: 0 }),
  ],
  [
    'GET /api/profile/ghost',
    undefined,
    200,
    { userId: 'ghost', username: string, nickname: string, avatarUrl: me.avatarUrl },
  ],
  ['GET /api/friends', undefined, 200, { friends: [] }],
  ['POST /api/friends', {}, 400, error('friendId is required')],
  ['POST /api/friends', { friendId: 'ben' }, 201, { ok: true }],
  ['POST /api/friends', { friendId: 'ann' }, 400, error('Failed to add friend')],
  ['PUT /api/friends', { friends: 'x' }, 400, error('friends array is required')],
  ['PUT /api/friends', { friends: [' cat ', 'ann', '', 5, 'cat'] }, 200, { friends: ['cat'] }],
  ['GET /api/friends', undefined, 200, { friends: ['cat'] }],
  ['DELETE /api/friends/cat', undefined, 204, ''],
  ['POST /api/nicknames', {}, 400, error('userIds array is required')],
  [
    'POST /api/nicknames',
    { userIds: ['ann', '', 7] },
    200,
    { nicknames: [{ user_id: 'ann', nickname: 'Anna' }] },
  ],
  ['GET /api/push/vapid', undefined, 200, { publicKey: 'public-key' }],
  ['POST /api/push/subscribe', {}, 400, error('endpoint is required')],
  ['POST /api/push/subscribe', { endpoint: 'https://x' }, 400, error('keys are required')],
  [
    'POST /api/push/subscribe',
    { endpoint: 'https://x', keys: { p256dh: 'p' } },
    400,
    error('keys.p256dh and keys.auth are required'),
  ],
  [
    'POST /api/push/subscribe',
    { endpoint: 'https://push.example.invalid/1', keys: { p256dh: 'p', auth: 'a' } },
    204,
    '',
  ],
  ['DELETE /api/push/subscribe', {}, 400, error('endpoint is required')],
  ['DELETE /api/push/subscribe', { endpoint: 'https://push.example.invalid/1' }, 204, ''],
  [
    'GET /api/audit/events?tableId=:table&limit=50',
    undefined,
    200,
    expect.objectContaining({
      total: expect.any(Number),
      hasMore: false,
      events: expect.arrayContaining([
        expect.objectContaining({ type: 'PLAYER_JOINED', user_id: 'ann', _user_id: 'user_id' }),
      ]),
    }),
  ],
  [
    'GET /api/audit/events?tableId=&handId=%20&userId=&types=&startTime=&endTime=&limit=&offset=&cursor=',
    undefined,
    200,
    expect.objectContaining({ total: expect.any(Number) }),
  ],
  ['GET /api/audit/events?limit=501', undefined, 200, expect.objectContaining({ hasMore: false })],
  ['GET /api/audit/my-hands?limit=1000000000000', undefined, 200, { hands: [], total: 0 }],
  ['GET /api/audit/events?limit=-1', undefined, 400, error('Invalid limit')],
  ['GET /api/audit/events?offset=x', undefined, 400, error('Invalid offset')],
  ['GET /api/audit/events?startTime=never', undefined, 400, error('Invalid startTime')],
  ['GET /api/audit/events?startTime=12345', undefined, 400, error('Invalid startTime')],
  ['GET /api/audit/events?userId=ben', undefined, 403, error('Forbidden')],
  ['GET /api/audit/events/00000000-0000-0000-0000-000000000000', undefined, 404, error('Event not found')],
  ['GET /api/audit/hands/none', undefined, 404, error('Hand not found')],
  ['GET /api/audit/tables/:table/hands', undefined, 200, { hands: [], total: 0 }],
  ['GET /api/audit/tables/:table/hands?limit=0', undefined, 400, error('Invalid limit')],
  ['GET /api/audit/users/ann/hands', undefined, 200, { hands: [], total: 0 }],
  ['GET /api/audit/users/ben/hands', undefined, 403, error('Forbidden')],
  ['GET /api/audit/my-hands', undefined, 200, { hands: [], total: 0 }],
  [
    'GET /api/accounts/ann/transactions?limit=2&offset=0',
    undefined,
    200,
    expect.objectContaining({ limit: 2, offset: 0, transactions: expect.any(Array) }),
  ],
  ['GET /api/accounts/ann/ledger', undefined, 200, expect.objectContaining({ entries: expect.any(Array) })],
  [
    'POST /api/accounts/ann/deposit',
    { amount: 5, source: 'BONUS' },
    400,
    expect.objectContaining({ error: 'MISSING_IDEMPOTENCY_KEY' }),
  ],
  ['DELETE /api/me', undefined, 204, ''],
  ['GET /api/me', undefined, 200, expect.objectContaining({ nickname: 'Deleted User' })],
  ['DELETE /api/tables/:table', undefined, 204, ''],
  ['DELETE /api/tables/none', undefined, 404, error('Table not found')],
]

describe('in order', () => {
  test.each(rows)('%s %j → %i', async (...[request, body, status, answer]) => {
    const response = await call(request, body)
    expect([response.status, response.body]).toEqual([status, answer])
  })
})

test('a table’s moderation and history are its owner’s: 403 for others', async () => {
  const { body } = await call('POST /api/tables', { name: 'Owned' }, 'ben')
  const own = (body as { readonly table_id: string }).table_id
  expect((await call(`POST /api/tables/${own}/kick`, { targetUserId: 'ben' }, 'cat')).status).toBe(403)
  expect((await call(`GET /api/audit/tables/${own}/hands`, undefined, 'cat')).status).toBe(403)
  expect((await call(`GET /api/audit/tables/${own}/hands`, undefined, 'ben')).status).toBe(200)
})

test('two changes of one profile at once are both there afterwards', async () => {
  for (let at = 0; at < 10; at++) {
    const change = (body: object) => call('PUT /api/me', body, 'two-hands')
    const [avatarUrl, nickname] = [`https://example.com/${at}.png`, `hands-${at}`]
    const answers = await Promise.all([change({ avatarUrl }), change({ nickname })])
    expect(answers.map(({ status }) => status)).toEqual([200, 200])
    expect((await call('GET /api/me', undefined, 'two-hands')).body).toMatchObject({ avatarUrl, nickname })
  }
})

test('a kick by seat that is repeated with its key is about who sat there first, not who sits there now', async () => {
  const own = await gateway.createTable('kim')
  const kick = async (): Promise<unknown> => {
    const response = await gateway.fetch(`/api/tables/${own}/moderation/kick`, {
      method: 'POST',
      userId: 'kim',
      headers: { 'idempotency-key': 'kick-1' },
      body: { seatId: 1 },
    })
    return [response.status, await response.json()]
  }
  await gateway.takeSeat('lou', own, 1)
  expect(await kick()).toMatchObject([200, { userId: 'lou' }])
  expect(await kick()).toMatchObject([200, { userId: 'lou' }])
  await gateway.takeSeat('mia', own, 1)
  expect(await kick()).toMatchObject([200, { userId: 'lou' }])
  expect(await demo.calls('game', 'KickPlayer')).not.toContainEqual(
    expect.objectContaining({ request: expect.objectContaining({ targetUserId: 'mia' }) }),
  )
})

test('who cannot pay: the bonus is asked for, and the seat once more with the same key, though the bonus failed', async () => {
  await demo.fault({ service: 'balance-http', method: 'deposit', kind: 'error', count: 1 })
  const own = await gateway.createTable('ann')
  const join = () => call(`POST /api/tables/${own}/join`, { seatId: 5 }, 'poor')
  const refused = await join()
  expect([refused.status, refused.body]).toEqual([400, error('ACCOUNT_NOT_FOUND')])
  const asked = (await demo.calls('game', 'JoinSeat')).slice(-2).map(({ request }) => request)
  const seat = expect.objectContaining({ tableId: own, userId: 'poor', idempotencyKey: string })
  expect([asked, asked[0]]).toEqual([[seat, seat], asked[1]])
  // The day's bonus is still there for the next try.
  expect((await join()).status).toBe(200)
})

test('CORS as the web client needs it: one origin on every answer, preflight 204, limits readable', async () => {
  const preflight = await fetch(`${gateway.url}/api/me`, {
    method: 'OPTIONS',
    headers: {
      origin: 'http://localhost:3000',
      'access-control-request-method': 'PUT',
      'access-control-request-headers': 'authorization,idempotency-key',
    },
  })
  expect(preflight.status).toBe(204)
  expect(Object.fromEntries(preflight.headers)).toMatchObject({
    'access-control-allow-origin': 'http://localhost:3000',
    'access-control-allow-credentials': 'true',
    'access-control-allow-methods': 'GET,HEAD,PUT,PATCH,POST,DELETE',
    'access-control-allow-headers': 'authorization,idempotency-key',
  })
  const plain = await fetch(`${gateway.url}/health`, { headers: { origin: 'http://evil.example' } })
  expect(plain.headers.get('access-control-allow-origin')).toBe('http://localhost:3000')
  expect(plain.headers.get('x-powered-by')).toBeNull()
  const limited = await call('GET /api/me')
  expect(limited.headers.get('x-ratelimit-limit')).toBe('100000')
  expect(limited.headers.get('access-control-expose-headers')).toContain('RateLimit')
})

test('the limit of a user and of an address is told, and waiting it out is enough', async () => {
  await using strict = await startGateway({
    ...backendsOf(demo),
    HTTP_RATE_LIMIT_MAX: '3',
    HTTP_RATE_LIMIT_WINDOW_MS: '1000',
  })
  const ask = () => strict.fetch('/api/me', { userId: 'dan' })
  const statuses: number[] = []
  let refused: Response | undefined
  for (let at = 0; at < 4; at++) {
    const response = await ask()
    statuses.push(response.status)
    if (response.status === 429) refused = response
    else await response.text()
  }
  expect(statuses).toEqual([200, 200, 200, 429])
  expect(await refused?.json()).toMatchObject({
    code: 'RATE_LIMITED',
    message: expect.stringMatching(/^Too many requests from this (?:IP|user)$/),
    requestId: refused?.headers.get('x-request-id'),
  })
  expect(Number(refused?.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
  // Probes are never limited.
  for (let at = 0; at < 5; at++) expect((await strict.fetch('/health')).status).toBe(200)
})
