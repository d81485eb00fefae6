/** Who wants too many sockets, too fast, or never says who it is: refused with a reason and a time, and others get in. */
import { once } from 'node:events'
import { connectWs, signToken } from '@gw/testing'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  backendsOf,
  type Demo,
  type GatewayProcess,
  secret,
  startDemo,
  startGateway,
  tokenOf,
} from './harness/platform.ts'
import { connectPlayer } from './harness/player.ts'
import { scrape } from './harness/scrape.ts'
import { fieldOf, handshake, open, raw, rawSocket, statuses } from './harness/raw-http.ts'

let demo: Demo

beforeAll(async () => {
  demo = await startDemo()
})

afterAll(async () => {
  await demo?.[Symbol.asyncDispose]()
})

const gatewayWith = (env: Readonly<Record<string, string>>): Promise<GatewayProcess> =>
  startGateway({ ...backendsOf(demo), HTTP_RATE_LIMIT_MAX: '100000', ...env })

const tryPlayer = (gateway: GatewayProcess, name: string): Promise<string> =>
  connectPlayer(gateway.wsUrl, name).then(
    async (player) => {
      await player[Symbol.asyncDispose]()
      return 'in'
    },
    () => 'out',
  )

test('silent sockets are so many: one more gets 503, until one has said who it is', async () => {
  await using gateway = await gatewayWith({ MAX_UNAUTHENTICATED: '3', WS_AUTH_TIMEOUT_MS: '600000' })
  const silent = await Promise.all([open(gateway), open(gateway), open(gateway)])
  expect(silent.map(({ status }) => status)).toEqual(['101', '101', '101'])
  const refused = await open(gateway)
  expect([
    refused.status,
    fieldOf(refused.answer, 'retry-after'),
    fieldOf(refused.answer, 'x-gateway-reason'),
  ]).toEqual(['503', '2', 'unauthenticated_capacity'])
  silent[0].socket.destroy()
  await expect.poll(() => tryPlayer(gateway, 'late'), { timeout: 15_000 }).toBe('in')
  for (const { socket } of silent) socket.destroy()
})

test('a burst above the pace is answered at once, all of it: some get in, the rest 503, nobody waits', async () => {
  await using gateway = await gatewayWith({ WS_ACCEPTS_PER_SECOND: '20' })
  const answers = await Promise.all(Array.from({ length: 100 }, () => open(gateway)))
  const count = (status: string): number => answers.filter((answer) => answer.status === status).length
  expect(count('101') + count('503')).toBe(100)
  expect(count('101')).toBeGreaterThanOrEqual(20)
  expect(count('503')).toBeGreaterThan(0)
  expect(answers.find(({ status }) => status === '503')?.answer).toContain('"code":"pace"')
  for (const { socket } of answers) socket.destroy()
  await expect.poll(() => tryPlayer(gateway, 'after'), { timeout: 15_000 }).toBe('in')
})

test('an address that guesses tokens is refused before any is verified, by HTTP and socket; its neighbour is not', async () => {
  await using gateway = await gatewayWith({})
  await gateway.ready()
  const bad = `Authorization: Bearer ${tokenOf('x').slice(0, -4)}AAAA\r\n`
  const guess = (from: string): Promise<string> =>
    raw(`GET /api/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${bad}\r\n`, { url: gateway.url, from })
  // 100 in a minute are an accident; guesses over sockets count like those over HTTP.
  for (let at = 0; at < 60; at++) expect(statuses(await guess('127.0.0.2'))).toEqual(['401'])
  for (let at = 0; at < 40; at++) {
    const socket = rawSocket({ url: gateway.url, from: '127.0.0.2' })
    socket.write(handshake(bad))
    let answer = ''
    for await (const chunk of socket) {
      answer += String(chunk)
      if (answer.includes('Unauthorized')) break
    }
    expect(statuses(answer)).toEqual(['101'])
  }
  await expect.poll(async () => statuses(await guess('127.0.0.2')), { timeout: 15_000 }).toEqual(['429'])
  const refused = await open({ url: gateway.url, from: '127.0.0.2' })
  expect([refused.status, fieldOf(refused.answer, 'x-gateway-reason')]).toEqual(['429', 'address_blocked'])
  expect(statuses(await guess('127.0.0.3'))).toEqual(['401'])
  await using player = await connectPlayer(gateway.wsUrl, 'neighbour')
  expect(await player.ask({ type: 'Ping' })).toMatchObject({ type: 'Pong' })
})

test('no guesses: requests without a token, with one that is over or for others, and while its keys are away, shut nobody out', async () => {
  // Who has a token with a key id waits for a Keycloak that isn't there.
  await using gateway = await gatewayWith({
    KEYCLOAK_URL: 'http://127.0.0.1:1',
    JWT_ISSUER: 'https://idp.example',
    JWT_AUDIENCE: 'gw',
    VAPID_PUBLIC_KEY: 'key',
  })
  const good = { iss: 'https://idp.example', aud: 'gw' }
  const ask = async (token?: string): Promise<number> => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const response = await gateway.fetch('/api/push/vapid', { headers })
    await response.text()
    return response.status
  }
  const over = tokenOf('ann', { ...good, exp: Math.floor(Date.now() / 1000) - 60 })
  const forOthers = tokenOf('ann', { ...good, aud: 'another' })
  const keyless = signToken({ sub: 'ann', ...good }, secret, { keyid: 'k1' })
  for (const token of [undefined, over, forOthers, keyless]) {
    const refused = await Promise.all(Array.from({ length: 101 }, () => ask(token)))
    expect(new Set(refused)).toEqual(new Set([401]))
    expect(await ask(tokenOf('ann', good))).toBe(200)
  }
  for (let at = 0; at < 101; at++) {
    await using socket = await connectWs(gateway.wsUrl)
    socket.send({ type: 'Authenticate', token: over })
    expect((await socket.closed).code).toBe(1008)
  }
  await using socket = await connectWs(gateway.wsUrl)
  socket.send({ type: 'Authenticate', token: tokenOf('ann', good) })
  await socket.next('Welcome')
})

test('headers that never end are cut with 408 in time, hundreds at once; who speaks plainly gets in meanwhile', async () => {
  await using gateway = await gatewayWith({ HTTP_HEADERS_TIMEOUT_MS: '1500' })
  await gateway.ready()
  const slow = Array.from({ length: 300 }, (_, at) => {
    const socket = rawSocket(gateway)
    const parts: Buffer[] = []
    socket.on('data', (chunk) => parts.push(chunk))
    // Some say nothing, some begin a request, some a handshake, and go on letter by letter.
    const begin =
      ['', 'GET /health HTTP/1.1\r\nHost: x\r\nX-A: ', 'GET /ws HTTP/1.1\r\nUpgrade: web'][at % 3] ?? ''
    if (begin !== '') socket.write(begin)
    const drip = setInterval(() => begin !== '' && socket.write('a'), 200)
    const ended = once(socket, 'close').then(() => {
      clearInterval(drip)
      return Buffer.concat(parts).toString('latin1')
    })
    return ended
  })
  await using player = await connectPlayer(gateway.wsUrl, 'plain')
  expect(await player.ask({ type: 'Ping' })).toMatchObject({ type: 'Pong' })
  const answers = await Promise.all(slow)
  expect(new Set(answers.flatMap(statuses))).toEqual(new Set(['408']))
  expect(await player.ask({ type: 'Ping' })).toMatchObject({ type: 'Pong' })
  expect((await gateway.fetch('/health')).status).toBe(200)
})

test('a user with too many sockets is told to come later, and the refused one is in no count', async () => {
  await using gateway = await gatewayWith({ MAX_CONNECTIONS_PER_USER: '1' })
  await gateway.ready()
  await using first = await connectPlayer(gateway.wsUrl, 'ann')
  await using second = await connectWs(gateway.wsUrl)
  second.send({ type: 'Authenticate', token: tokenOf('ann') })
  expect(await second.closed).toEqual({ code: 1013, reason: 'try_later' })
  expect(await first.ask({ type: 'Ping' })).toMatchObject({ type: 'Pong' })
  const counted = await scrape(gateway)
  expect(counted.value('gateway_ws_active_connections', { client_type: 'web' })).toBe(1)
  expect(counted.value('gateway_ws_session_duration_seconds_count')).toBeOneOf([0, undefined])
  expect(gateway.process.lines.filter(({ msg }) => msg === 'connection_closed')).toEqual([])
})
