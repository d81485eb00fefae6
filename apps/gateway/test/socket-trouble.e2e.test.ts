/** Sockets that flood, churn, freeze or will not close, and a process without files: neighbours notice nothing. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { connectWs, createLink } from '@gw/testing'
import { Redis } from 'ioredis'
import { afterAll, expect, test } from 'vitest'
import { startFleet } from './harness/fleet.ts'
import { backendsOf, startGateway, tokenOf } from './harness/platform.ts'
import { connectPlayer, signIn } from './harness/player.ts'

const fleet = await startFleet({ gateways: [{ WS_RATE_LIMIT_MAX: '20', WS_PING_INTERVAL_MS: '1000' }] })
afterAll(() => fleet[Symbol.asyncDispose]())
const {
  redis,
  demo,
  gateways: [gateway],
} = fleet

async function openSockets(): Promise<number> {
  const text = await (await fetch(gateway.metricsUrl)).text()
  const values = [...text.matchAll(/^gateway_ws_active_connections\{[^}]*\} (-?\d+)$/gm)]
  return values.reduce((sum, [, value]) => sum + Number(value), 0)
}

/** A table of its own, and a user at it who expects answers. */
async function neighbour(userId: string) {
  const tableId = await gateway.createTable(userId)
  const player = await connectPlayer(gateway.wsUrl, userId)
  await player.ask({ type: 'SubscribeTable', tableId })
  return { player, tableId }
}

test('a flood of one socket: answered in order, then refused, then closed; the neighbour goes on', async () => {
  const { player, tableId } = await neighbour('flood-ann')
  await using _ = player
  await using flooder = await connectPlayer(gateway.wsUrl, 'flood-bob')
  for (let at = 0; at < 2000; at++) flooder.send({ type: 'ChatSend', tableId, message: 'x', id: `f${at}` })
  expect(await player.ask({ type: 'Ping' })).toMatchObject({ type: 'Pong' })
  expect(await flooder.socket.closed).toEqual({ code: 4029, reason: 'rate_limited' })
  const answers = flooder.socket.received.filter(({ id }) => String(id).startsWith('f'))
  expect(answers.map(({ id }) => id)).toEqual(answers.map((_answer, at) => `f${at}`))
  const refused = answers.filter((answer) => JSON.stringify(answer).includes('rate_limited'))
  expect(refused.length).toBeGreaterThan(0)
  expect(refused).toEqual(answers.slice(-refused.length))
  expect(await player.ask({ type: 'Ping' })).toMatchObject({ type: 'Pong' })
})

test.each([
  ['what nobody knows', { type: 'Nonsense' }, 'unknown_type'],
  ['tokens', { type: 'Authenticate', token: tokenOf('somebody-else') }, 'auth_denied'],
])('a flood of %s: answered, then refused, then closed', async (_name, frame, code) => {
  await using flooder = await signIn(gateway.wsUrl, `flood-${frame.type}`, { features: ['acks'] })
  for (let at = 0; at < 2000; at++) flooder.send({ ...frame, id: `f${at}` })
  expect(await flooder.closed).toEqual({ code: 4029, reason: 'rate_limited' })
  const codes = flooder.received
    .filter(({ id }) => String(id).startsWith('f'))
    .map((answer) => answer['code'])
  expect(codes[0]).toBe(code)
  expect(new Set(codes)).toEqual(new Set([code, 'rate_limited']))
  expect(codes.length).toBeLessThan(300)
})

test('subscribing and leaving over and over leaves nothing behind', async () => {
  const admin = new Redis(redis.url)
  await using churner = await connectPlayer(gateway.wsUrl, 'churn-cat')
  const live = async (): Promise<readonly string[]> => {
    const names = await admin.pubsub('CHANNELS', '*:chat:churn-*')
    return names.map(String)
  }
  for (let at = 0; at < 30; at++) {
    const tableId = `churn-${at}`
    churner.send({ type: 'SubscribeChat', tableId })
    churner.send({ type: 'UnsubscribeChat', tableId })
  }
  await churner.ask({ type: 'UnsubscribeChat', tableId: 'churn-0' })
  await expect.poll(live, { timeout: 15_000 }).toEqual([])
  admin.disconnect()
})

test('a peer that froze is gone after a ping without an answer, and its place is free', async () => {
  const before = await openSockets()
  await using link = await createLink({ target: gateway.url })
  await signIn(`ws://127.0.0.1:${link.port}/ws`, 'frozen-dan')
  expect(await openSockets()).toBe(before + 1)
  link.blackhole()
  await expect.poll(openSockets, { timeout: 15_000 }).toBe(before)
})

test('a peer that never answers a close is cut off', async () => {
  const silent = connect({ host: '127.0.0.1', port: Number(new URL(gateway.url).port) })
  await once(silent, 'connect')
  silent.write(
    `GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${Buffer.alloc(16, 1).toString('base64')}\r\n\r\n`,
  )
  await once(silent, 'data')
  // `[]`, masked with zeros: no Authenticate, so the gateway closes and waits for our close frame, which never comes.
  silent.write(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x5b, 0x5d]))
  const [frame] = (await once(silent, 'data')) as [Buffer]
  expect([frame[0], frame.readUInt16BE(2)]).toEqual([0x88, 1008])
  silent.resume()
  await once(silent, 'close')
})

test('without a file left, what is open goes on; with files again, new sockets come in', async () => {
  await using own = await startGateway(
    { ...backendsOf(demo), MAX_CONNECTIONS_PER_ADDRESS: '1000' },
    { openFiles: 80 },
  )
  const player = await connectPlayer(own.wsUrl, 'files-fay')
  await using _ = player
  const tries = await Promise.allSettled(
    Array.from({ length: 120 }, () => connectWs(own.wsUrl, { timeoutMs: 3000 })),
  )
  const opened = tries.flatMap((attempt) => (attempt.status === 'fulfilled' ? [attempt.value] : []))
  expect(opened.length).toBeLessThan(tries.length)
  expect(await player.ask({ type: 'Ping' })).toMatchObject({ type: 'Pong' })
  await Promise.all(opened.map((socket) => socket.close()))
  const again = async (): Promise<boolean> => {
    const socket = await connectWs(own.wsUrl).catch(() => undefined)
    await socket?.close()
    return socket !== undefined
  }
  await expect.poll(again, { timeout: 15_000 }).toBe(true)
  expect((await own.fetch('/health')).status).toBe(200)
})
