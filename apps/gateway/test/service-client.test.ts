import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { create, toBinary } from '@bufbuild/protobuf'
import { credentials, status } from '@grpc/grpc-js'
import { expect, test } from 'vitest'
import { createBackendGuard } from '../src/grpc/backend-guard.ts'
import { GameService, TableSchema } from '../src/grpc/gen/game/game_pb.ts'
import { createServiceClient } from '../src/grpc/service-client.ts'
import { type GameHandler, muted, serveGame, table } from './harness/grpc-game.ts'

const serve = (isMuted: GameHandler, port = 0) => serveGame({ isMuted, port })

function clientOf(port: number, timeoutMs = 5000, onReconnect?: () => void) {
  return createServiceClient(GameService, {
    address: `127.0.0.1:${port}`,
    credentials: credentials.createInsecure(),
    timeoutMs,
    metadata: () => ({ traceparent: '00-1-2-01' }),
    ...(onReconnect && { onReconnect }),
    guard: createBackendGuard(),
    channel: { 'grpc.initial_reconnect_backoff_ms': 50, 'grpc.max_reconnect_backoff_ms': 100 },
  })
}

test('a call carries deadline, trace and request id, and nothing of anybody’s identity', async () => {
  let seen: Record<string, unknown> = {}
  await using server = await serve((call, callback) => {
    seen = call.metadata.getMap()
    callback(null, muted)
  })
  const client = clientOf(server.port)
  expect((await client.isMuted({ tableId: 't', userId: 'u' }, { requestId: 'r-1' })).isMuted).toBe(true)
  expect(seen).toMatchObject({ traceparent: '00-1-2-01', 'x-request-id': 'r-1' })
  expect(Object.keys(seen).filter((name) => /auth|user|cookie/.test(name) && name !== 'user-agent')).toEqual(
    [],
  )
  client.close()
})

test('an answer that never comes is a timeout; a refusal keeps its status and word', async () => {
  await using hung = await serve(() => {})
  const slow = clientOf(hung.port, 100)
  await expect(slow.isMuted({})).rejects.toMatchObject({ code: 'timeout', status: status.DEADLINE_EXCEEDED })
  slow.close()
  await using refusing = await serve((_call, callback) =>
    callback({ code: status.NOT_FOUND, details: 'TABLE_NOT_FOUND' }),
  )
  const refused = clientOf(refusing.port)
  await expect(refused.isMuted({})).rejects.toMatchObject({ code: 'not_found', details: 'TABLE_NOT_FOUND' })
  refused.close()
})

test('a refusal with a word is no illness, whatever its status: five duplicates of a call do not shut the others out', async () => {
  let calls = 0
  await using server = await serve((_call, callback) => {
    calls += 1
    if (calls > 6) return callback(null, muted)
    callback({ code: status.UNAVAILABLE, details: 'IDEMPOTENCY_IN_PROGRESS' })
  })
  const client = clientOf(server.port)
  for (let at = 0; at < 6; at++)
    await expect(client.isMuted({})).rejects.toMatchObject({
      code: 'unavailable',
      codeWord: 'IDEMPOTENCY_IN_PROGRESS',
      reason: undefined,
    })
  // Neither refused by the breaker nor, though it is a read, asked twice.
  expect(await client.isMuted({})).toMatchObject({ isMuted: true })
  expect(calls).toBe(7)
  client.close()
})

test('a caller that goes away cancels the call on the wire', async () => {
  const { promise: cancelled, resolve } = Promise.withResolvers<void>()
  const { promise: reached, resolve: reach } = Promise.withResolvers<void>()
  await using server = await serve((call) => {
    if ('on' in call && typeof call.on === 'function') call.on('cancelled', () => resolve())
    reach()
  })
  const client = clientOf(server.port)
  const abort = new AbortController()
  const pending = client.isMuted({}, { signal: abort.signal }).catch((error: unknown) => error)
  await reached
  abort.abort()
  expect(await pending).toMatchObject({ code: 'cancelled' })
  await cancelled
  client.close()
})

test('a peer that accepts TCP and says nothing is given up, and its successor on the same port is found', async () => {
  const sockets = new Set<Socket>()
  const silent = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  silent.listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const address = silent.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  let reconnects = 0
  const client = clientOf(port, 300, () => reconnects++)
  await expect(client.isMuted({})).rejects.toMatchObject({ code: 'timeout' })
  expect(reconnects).toBe(1)

  // It still holds its connections open: only a new channel finds the server that takes its place.
  const closed = new Promise((resolve) => silent.close(resolve))
  await using _server = await serve((_call, callback) => callback(null, muted), port)
  await expect
    .poll(
      () =>
        client.isMuted({}).then(
          ({ isMuted }) => isMuted,
          () => false,
        ),
      { timeout: 5000 },
    )
    .toBe(true)
  client.close()
  for (const socket of sockets) socket.destroy()
  await closed
})

test('an answer that is no message, or too large a one, is 502, and the connection goes on', async () => {
  const answers: Buffer[] = [Buffer.from([0xff, 0xff, 0xff]), Buffer.alloc(20_000_000), table]
  await using server = await serveGame({ createTable: (_call, callback) => callback(null, answers.shift()) })
  const client = clientOf(server.port, 20_000)
  for (let at = 0; at < 2; at++)
    await expect(client.createTable({})).rejects.toMatchObject({
      code: 'bad_gateway',
      reason: 'upstream_failed',
    })
  expect((await client.createTable({})).tableId).toBe('t')
  client.close()
})

test('whole numbers of 64 bits keep every digit', async () => {
  const most = 9_223_372_036_854_775_807n
  const bytes = toBinary(
    TableSchema,
    create(TableSchema, { config: { smallBlind: most, bigBlind: -most - 1n } }),
  )
  await using server = await serveGame({
    createTable: (_call, callback) => callback(null, Buffer.from(bytes)),
  })
  const client = clientOf(server.port)
  const { config } = await client.createTable({ name: 'x' })
  expect([config?.smallBlind, config?.bigBlind]).toEqual([most, -most - 1n])
  client.close()
})

test('a server that dies in the middle of a call: a read is asked again on its return, a change never', async () => {
  const seen: string[] = []
  const { promise: changing, resolve: changed } = Promise.withResolvers<void>()
  const first = await serveGame({
    createTable() {
      seen.push('CreateTable')
      changed()
    },
  })
  const { port } = first
  const client = clientOf(port, 20_000)
  const change = client.createTable({ name: 'x', idempotencyKey: 'k' }).catch((error: unknown) => error)
  await changing
  first.server.forceShutdown()
  expect(await change).toMatchObject({ code: expect.stringMatching(/unavailable|internal|cancelled/) })
  await using _second = await serveGame({
    port,
    isMuted(_call, callback) {
      seen.push('IsMuted')
      callback(null, muted)
    },
    createTable(_call, callback) {
      seen.push('CreateTable again')
      callback(null, table)
    },
  })
  const read = () =>
    client.isMuted({}).then(
      ({ isMuted }) => isMuted,
      () => false,
    )
  await expect.poll(read, { timeout: 15_000 }).toBe(true)
  expect(new Set(seen)).toEqual(new Set(['CreateTable', 'IsMuted']))
  client.close()
})

test('connections that the server ends by GOAWAY, over and over, fail no call', async () => {
  let calls = 0
  await using server = await serveGame({
    isMuted(_call, callback) {
      calls += 1
      callback(null, muted)
    },
    options: { 'grpc.max_connection_age_ms': 100, 'grpc.max_connection_age_grace_ms': 5000 },
  })
  const client = clientOf(server.port, 20_000)
  const until = performance.now() + 1500
  while (performance.now() < until) expect((await client.isMuted({})).isMuted).toBe(true)
  expect(calls).toBeGreaterThan(0)
  client.close()
})
