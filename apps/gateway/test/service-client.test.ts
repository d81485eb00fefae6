import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { create, toBinary } from '@bufbuild/protobuf'
import { credentials, Server, ServerCredentials, status } from '@grpc/grpc-js'
import { expect, test } from 'vitest'
import { GameService, IsMutedResponseSchema } from '../src/grpc/gen/game/game_pb.ts'
import { createServiceClient } from '../src/grpc/service-client.ts'

type Handler = (
  call: { readonly metadata: { getMap(): Record<string, unknown> } },
  callback: (error: { code: status; details: string } | null, value?: Buffer) => void,
) => void

/** A Game service with one method, as a real gRPC server. */
async function serve(handler: Handler, port = 0): Promise<{ readonly port: number } & AsyncDisposable> {
  const server = new Server()
  const bytes = (value: Buffer): Buffer => value
  server.addService(
    {
      isMuted: {
        path: '/game.GameService/IsMuted',
        requestStream: false,
        responseStream: false,
        requestSerialize: bytes,
        requestDeserialize: bytes,
        responseSerialize: bytes,
        responseDeserialize: bytes,
      },
    },
    { isMuted: handler },
  )
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, bound) =>
    error ? reject(error) : resolve(bound),
  )
  return {
    port: await promise,
    async [Symbol.asyncDispose]() {
      server.forceShutdown()
      await Promise.resolve()
    },
  }
}

const muted = Buffer.from(toBinary(IsMutedResponseSchema, create(IsMutedResponseSchema, { isMuted: true })))

function clientOf(port: number, timeoutMs = 5000, onReconnect?: () => void) {
  return createServiceClient(GameService, {
    address: `127.0.0.1:${port}`,
    credentials: credentials.createInsecure(),
    timeoutMs,
    metadata: () => ({ traceparent: '00-1-2-01' }),
    ...(onReconnect && { onReconnect }),
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
