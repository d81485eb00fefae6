/** The admin API of two gateways on one Redis: what an operator sees and does through either. */
import { createLink, startRedis } from '@gw/testing'
import { afterAll, expect, test, vi } from 'vitest'
import { startFleet } from './harness/fleet.ts'
import { tokenOf } from './harness/platform.ts'
import { connectPlayer } from './harness/player.ts'

// Only something that hangs takes so long.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 180_000 })

const token = 'admin-only-for-tests-0123456789-abcdefgh'
const redis = await startRedis()
const link = await createLink({ target: redis.url })
const fleet = await startFleet({
  redis,
  gateways: [{ INSTANCE_ID: 'one', REDIS_URL: link.url }, { INSTANCE_ID: 'two' }],
  env: { ADMIN_TOKEN: token },
})
const {
  gateways: [one, two],
} = fleet

afterAll(async () => {
  await fleet[Symbol.asyncDispose]()
  await link.close()
  redis.stop()
})

interface Answer {
  readonly status: number
  readonly body: Record<string, unknown>
}

async function call(
  path: string,
  options: { method?: string; body?: unknown; token?: string } = {},
): Promise<Answer> {
  const response = await fetch(`${one.adminUrl}/api${path}`, {
    method: options.method ?? 'GET',
    headers: {
      authorization: `Bearer ${options.token ?? token}`,
      'x-operator': 'oona',
      ...(options.body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(options.body !== undefined && { body: JSON.stringify(options.body) }),
  })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

/** Asks again until the answer is as wanted: what another instance does takes a moment. */
async function until(path: string, isWanted: (body: Record<string, unknown>) => boolean): Promise<Answer> {
  for (;;) {
    const answer = await call(path)
    if (answer.status === 200 && isWanted(answer.body)) return answer
  }
}

test('nobody gets in without the whole token, and what refuses has a code and no hint', async () => {
  for (const given of ['', 'wrong', token.slice(0, -1), `${token}x`]) {
    const { status, body } = await call('/instances', { token: given })
    expect(status).toBe(401)
    expect(body).toMatchObject({ code: 'auth_denied', requestId: expect.any(String) })
  }
  expect((await fetch(`${one.url}/api/instances`)).status).toBe(401)
  expect((await call('/nothing')).body).toMatchObject({ code: 'not_found' })
  expect((await call('/connections?limit=101')).body).toMatchObject({ code: 'invalid_request' })
  expect((await call('/connections?limt=1')).status).toBe(400)
  expect((await call('/log-level', { method: 'PUT', body: { level: 'loud' } })).status).toBe(400)
  expect((await call('/channels/admin%3Aask')).status).toBe(404)
})

test('both instances are seen, with the health of each dependency', async () => {
  const { body } = await until('/instances', ({ instances }) => (instances as unknown[]).length === 2)
  expect(body).toMatchObject({ silent: [], complete: true })
  for (const instance of body['instances'] as unknown[])
    expect(instance).toMatchObject({
      state: 'serving',
      health: {
        redis: { configured: true, up: true, pingMs: expect.any(Number) },
        pubsub: { ok: true, probeAgeMs: expect.any(Number) },
        keys: { ready: true },
        backends: { game: 'closed', player: 'closed', event: 'closed', notify: 'closed' },
      },
    })
  expect((await call('/health')).body).toMatchObject({ instanceId: 'one', ready: true })
})

test('connections, sessions, channels and their positions are found, page by page', async () => {
  await using ann = await connectPlayer(one.wsUrl, 'adm-ann')
  await using ben = await connectPlayer(one.wsUrl, 'adm-ben')
  await using away = await connectPlayer(two.wsUrl, 'adm-ann')
  await ann.ask({ type: 'SubscribeChat', tableId: 'adm-1' })
  await away.ask({ type: 'SubscribeChat', tableId: 'adm-1' })
  await ben.ask({ type: 'SubscribeChat', tableId: 'adm-2' })

  const firstPage = await call('/connections?limit=1')
  expect(firstPage.body).toMatchObject({
    instanceId: 'one',
    connections: [{ userId: 'adm-ann' }],
    next: expect.any(Number),
  })
  // The lobby, the user's own, everybody's, and the chat.
  const secondPage = await until(
    `/connections?limit=1&after=${String(firstPage.body['next'])}`,
    ({ connections }) => (connections as { channels: number }[])[0]?.channels === 4,
  )
  expect(secondPage.body).toMatchObject({ connections: [{ userId: 'adm-ben' }] })
  expect(secondPage.body['next']).toBeUndefined()
  expect((await call('/connections?instance=two')).body).toMatchObject({
    connections: [{ userId: 'adm-ann' }],
  })
  expect((await call('/connections?instance=three')).status).toBe(404)
  expect((await call('/connections?channel=chat:adm-2')).body).toMatchObject({
    connections: [{ userId: 'adm-ben' }],
  })

  const session = await until('/users/adm-ann', ({ count }) => count === 2)
  expect(session.body).toMatchObject({ status: 'online' })
  expect(
    (session.body['connections'] as { instanceId: string }[]).map(({ instanceId }) => instanceId).sort(),
  ).toEqual(['one', 'two'])

  expect((await call('/channels?prefix=chat:adm&limit=1')).body).toMatchObject({
    channels: [{ channel: 'chat:adm-1', subscribers: 1 }],
    next: 'chat:adm-1',
  })
  expect((await call('/channels?prefix=chat:adm&limit=1&after=chat:adm-1')).body).toEqual({
    instanceId: 'one',
    channels: [{ channel: 'chat:adm-2', subscribers: 1 }],
  })
  expect((await call('/channels/chat%3Aadm-1')).body).toMatchObject({
    position: { epoch: expect.any(String), seq: expect.any(Number) },
    subscribers: 2,
    instances: { one: { count: 1 }, two: { count: 1 } },
  })
})

test('a kicked user is off all instances and may come back; a revoked one may not', async () => {
  await using here = await connectPlayer(one.wsUrl, 'adm-kick')
  await using there = await connectPlayer(two.wsUrl, 'adm-kick')
  await using other = await connectPlayer(two.wsUrl, 'adm-stays')
  expect((await call('/users/adm-kick/kick', { method: 'POST' })).body).toEqual({
    closed: 2,
    silent: [],
    complete: true,
  })
  expect((await here.socket.closed).code).toBe(1008)
  expect((await there.socket.closed).code).toBe(1008)
  await using again = await connectPlayer(two.wsUrl, 'adm-kick')
  const listed = await call('/connections?instance=two&user=adm-kick')
  const [found] = listed.body['connections'] as { connectionId: string }[]
  expect((await call(`/connections/${found?.connectionId}/kick`, { method: 'POST' })).body).toMatchObject({
    closed: 1,
  })
  expect((await again.socket.closed).code).toBe(1008)
  expect((await call('/connections/nobody/kick', { method: 'POST' })).status).toBe(404)

  const old = tokenOf('adm-gone')
  await using gone = await connectPlayer(two.wsUrl, 'adm-gone')
  expect((await call('/users/adm-gone/revoke', { method: 'POST' })).body).toEqual({ revoked: true })
  expect((await gone.socket.closed).code).toBe(4500)
  const refused = await fetch(`${two.url}/api/me`, { headers: { authorization: `Bearer ${old}` } })
  expect(refused.status).toBe(401)
  await other.ask({ type: 'Ping' })
})

test('a user and a channel whose names have separators are looked at, kicked and revoked like others', async () => {
  const userId = 'adm/sep\\ann'
  const user = `/users/${encodeURIComponent(userId)}`
  await using here = await connectPlayer(one.wsUrl, userId)
  await until(user, ({ count }) => count === 1)
  const name = encodeURIComponent(`user:${userId}`)
  expect((await call(`/channels/${name}`)).body).toMatchObject({ subscribers: 1 })
  expect((await call(`${user}/kick`, { method: 'POST' })).body).toMatchObject({ closed: 1 })
  expect((await here.socket.closed).code).toBe(1008)
  await using again = await connectPlayer(two.wsUrl, userId)
  expect((await call(`${user}/revoke`, { method: 'POST' })).body).toEqual({ revoked: true })
  expect((await again.socket.closed).code).toBe(4500)
})

test('a drained instance sends its sockets away, takes none, and serves again when told to', async () => {
  await using guest = await connectPlayer(two.wsUrl, 'adm-guest')
  expect((await call('/instances/two/drain', { method: 'POST' })).body).toMatchObject({ state: 'drained' })
  expect((await guest.socket.closed).code).toBe(1012)
  expect(await (await fetch(`${two.url}/ready`)).json()).toMatchObject({ reason: 'draining' })
  await expect(connectPlayer(two.wsUrl, 'adm-guest')).rejects.toMatchObject({ status: 503 })
  expect((await call('/instances/two/undrain', { method: 'POST' })).body).toMatchObject({ state: 'serving' })
  await two.ready()
  await using back = await connectPlayer(two.wsUrl, 'adm-guest')
  await back.ask({ type: 'Ping' })
})

test('the log level changes everywhere at once, and audit lines come whatever it is', async () => {
  expect((await call('/log-level', { method: 'PUT', body: { level: 'error' } })).body).toMatchObject({
    instances: { one: { level: 'error' }, two: { level: 'error' } },
  })
  await call('/users/adm-nobody/kick', { method: 'POST' })
  await call('/log-level', { method: 'PUT', body: { level: 'info' } })
  const audited = one.process.lines.filter(({ msg }) => msg === 'admin_action')
  expect(audited.map(({ action }) => action)).toEqual(
    expect.arrayContaining(['log_level', 'kick_user', 'revoke_user', 'drain', 'undrain', 'kick_connection']),
  )
  expect(audited.find(({ target }) => JSON.stringify(target).includes('adm-nobody'))).toMatchObject({
    action: 'kick_user',
    operator: 'oona',
    outcome: 'done',
    requestId: expect.any(String),
  })
  expect(audited.some(({ outcome }) => outcome === 'not_found')).toBe(true)
})

test('a tail shows what passes and never what it says', async () => {
  const controller = new AbortController()
  const open = async (query: string) => {
    const response = await fetch(`${one.adminUrl}/api/tail?${query}`, {
      headers: { authorization: `Bearer ${token}` },
      signal: controller.signal,
    })
    expect(response.status).toBe(200)
    const chunks = response.body?.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    return async (wanted: string): Promise<string> => {
      while (!text.includes(wanted)) {
        const next = await chunks?.read()
        if (!next || next.done) throw new Error(`the tail ended before ${wanted}: ${text}`)
        text += next.value
      }
      return text
    }
  }
  const tableId = await one.createTable('adm-host')
  const onChannel = await open(`channel=chat:${tableId}`)
  const onUser = await open('user=adm-host')
  await onChannel('event: position')
  await onUser('event: watching')
  await using host = await connectPlayer(two.wsUrl, 'adm-host')
  await host.ask({ type: 'SubscribeTable', tableId })
  await host.ask({ type: 'SubscribeChat', tableId })
  await host.ask({ type: 'ChatSend', tableId, message: 'the canary sings' })
  const channelText = await onChannel('"type":"ChatMessage"')
  const userText = await onUser('"type":"ChatSend"')
  expect(channelText).toContain('"message.userId":"adm-host"')
  expect(userText).toContain('"kind":"opened"')
  expect(userText).toContain('"instanceId":"two"')
  expect(channelText + userText).not.toMatch(/canary|eyJ/)
  controller.abort()
})

test('with Redis away the instance still answers for itself and says so', async () => {
  link.cut()
  const { body } = await until('/instances', ({ complete }) => complete === false)
  expect(body['instances']).toMatchObject([{ instanceId: 'one', notReady: expect.any(String) }])
  expect((await call('/users/adm-ann/revoke', { method: 'POST' })).body).toMatchObject({
    code: 'unavailable',
  })
  expect((await call('/users/adm-ann')).status).toBe(503)
  link.restore()
  await one.ready()
  await until('/instances', ({ instances }) => (instances as unknown[]).length === 2)
})

test('no line of either process holds the admin token', async () => {
  expect(one.process.output() + two.process.output()).not.toContain(token)
})
