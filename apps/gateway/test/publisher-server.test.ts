import { credentials, status } from '@grpc/grpc-js'
import { type ChannelMessage, createMemoryBroker } from '@gw/pubsub'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PublisherService } from '../src/grpc/gen/gateway/v1/publisher_pb.ts'
import { callScope } from '../src/observe/call-scope.ts'
import { createBroadcastService } from '../src/services/broadcast-service.ts'
import { createPublisherServer, type PublisherServer } from '../src/grpc/publisher-server.ts'
import { createServiceClient, type ServiceClient } from '../src/grpc/service-client.ts'

const broker = createMemoryBroker()
let server: PublisherServer
let client: ServiceClient<typeof PublisherService>

beforeAll(async () => {
  server = createPublisherServer({
    broadcast: createBroadcastService(broker),
    host: '127.0.0.1',
    port: 0,
    scope: callScope,
  })
  const port = await server.listen()
  client = createServiceClient(PublisherService, {
    address: `127.0.0.1:${port}`,
    credentials: credentials.createInsecure(),
    timeoutMs: 5000,
  })
})

afterAll(async () => {
  client?.close()
  await server?.close()
  await broker.close()
})

const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))

test('a publish is delivered once with its position; a repeat with the same key delivers nothing', async () => {
  const got: ChannelMessage[] = []
  const subscription = await broker.subscribe('table:T1', {
    onMessage: (message) => void got.push(message),
    onReset: () => {},
  })
  subscription.start()
  const request = { channel: 'table:T1', payloadJson: json({ type: 'X', n: 1 }), idempotencyKey: 'k' }
  const first = await client.publish(request)
  const again = await client.publish(request)
  const next = await client.publish({ ...request, idempotencyKey: '' })
  expect(first).toMatchObject({ channel: 'table:T1', seq: 1n, duplicate: false })
  expect(again).toMatchObject({ epoch: first.epoch, seq: 1n, duplicate: true })
  expect(next).toMatchObject({ seq: 2n, duplicate: false })
  expect(got.map(({ seq, data }) => [seq, data.toString()])).toEqual([
    [1, '{"type":"X","n":1}'],
    [2, '{"type":"X","n":1}'],
  ])
})

test.each([
  ['an unknown class', { channel: 'weather:1', payloadJson: json({ type: 'X' }) }],
  ['a name that no channel can have', { channel: 'table:\u0000', payloadJson: json({ type: 'X' }) }],
  ['no id', { channel: 'table:', payloadJson: json({ type: 'X' }) }],
  ['no object', { channel: 'lobby', payloadJson: json([]) }],
  ['no type', { channel: 'lobby', payloadJson: json({}) }],
  ['no JSON', { channel: 'lobby', payloadJson: new TextEncoder().encode('{') }],
  ['no UTF-8', { channel: 'lobby', payloadJson: Uint8Array.of(0x7b, 0xff, 0x7d) }],
  ['too much', { channel: 'lobby', payloadJson: json({ type: 'X', pad: 'x'.repeat(70_000) }) }],
  ['a long key', { channel: 'lobby', payloadJson: json({ type: 'X' }), idempotencyKey: 'k'.repeat(129) }],
])('%s is INVALID_ARGUMENT', async (_what, request) => {
  await expect(client.publish(request)).rejects.toMatchObject({ status: status.INVALID_ARGUMENT })
})

test('a broadcast has one answer a channel, in order, good and bad apart', async () => {
  const { results } = await client.broadcast({
    channels: ['user:a', 'nope', 'all'],
    payloadJson: json({ type: 'X' }),
    idempotencyKey: 'b1',
  })
  expect(results.map(({ code, position }) => [code, position?.channel])).toEqual([
    [status.OK, 'user:a'],
    [status.INVALID_ARGUMENT, 'nope'],
    [status.OK, 'all'],
  ])
})
