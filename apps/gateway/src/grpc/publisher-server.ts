/** The internal port: backends publish to channels by gRPC, without Redis and without our library. */
import {
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf'
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js'
import type { Broker } from '@gw/pubsub'
import { type PublishRequest, PublisherService } from './gen/gateway/v1/publisher_pb.ts'

export interface PublisherServerOptions {
  readonly broker: Pick<Broker, 'publish'>
  readonly host: string
  readonly port: number
  readonly onPublish?: (result: { readonly channel: string; readonly code: number }) => void
}

export interface PublisherServer {
  /** Resolves to the port. */
  listen(): Promise<number>
  close(): Promise<void>
}

const maxPayloadBytes = 65_536
const maxKeyLength = 128
const maxChannels = 1000
const knownChannel = /^(?:lobby|(?:table|chat|user|presence):[^\s]{1,128})$/

class Refusal extends Error {
  readonly code: status
  constructor(code: status, message: string) {
    super(message)
    this.code = code
  }
}

function isMessageObject(payload: Uint8Array): boolean {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload))
    return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
  } catch {
    return false
  }
}

function checkPayload(payload: Uint8Array, key: string): void {
  if (payload.length > maxPayloadBytes)
    throw new Refusal(status.INVALID_ARGUMENT, `payload_json is over ${maxPayloadBytes} bytes`)
  if (key.length > maxKeyLength)
    throw new Refusal(status.INVALID_ARGUMENT, `idempotency_key is over ${maxKeyLength} characters`)
  if (!isMessageObject(payload))
    throw new Refusal(status.INVALID_ARGUMENT, 'payload_json must be a JSON object with a string "type"')
}

function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error
  if (error instanceof Error && 'code' in error && error.code === 'unavailable')
    return new Refusal(status.UNAVAILABLE, error.message)
  return new Refusal(status.INTERNAL, 'Internal error')
}

interface Method<I extends DescMessage, O extends DescMessage> {
  readonly name: string
  readonly input: I
  readonly output: O
}

/** The wire definition of one unary method of {@link PublisherService}. */
function definition<I extends DescMessage, O extends DescMessage>({ name, input, output }: Method<I, O>) {
  const bufferOf = (bytes: Uint8Array): Buffer =>
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return {
    path: `/${PublisherService.typeName}/${name}`,
    requestStream: false as const,
    responseStream: false as const,
    requestSerialize: (message: MessageShape<I>) => bufferOf(toBinary(input, message)),
    requestDeserialize: (bytes: Buffer) => fromBinary(input, bytes),
    responseSerialize: (message: MessageShape<O>) => bufferOf(toBinary(output, message)),
    responseDeserialize: (bytes: Buffer) => fromBinary(output, bytes),
  }
}

function unary<I extends DescMessage, O extends DescMessage>(
  method: Method<I, O>,
  answer: (request: MessageShape<I>) => Promise<MessageInitShape<O>>,
) {
  return (
    call: ServerUnaryCall<MessageShape<I>, MessageShape<O>>,
    callback: sendUnaryData<MessageShape<O>>,
  ): void => {
    answer(call.request).then(
      (reply) => callback(null, create(method.output, reply)),
      (error: unknown) => {
        const { code, message } = refusalOf(error)
        callback({ code, details: message })
      },
    )
  }
}

/** Serves `gateway.v1.PublisherService` in plaintext; bind it to a private address. */
export function createPublisherServer({
  broker,
  host,
  port,
  onPublish,
}: PublisherServerOptions): PublisherServer {
  const server = new Server({ 'grpc.max_receive_message_length': 1024 * 1024 })

  async function publish({
    channel,
    payloadJson,
    idempotencyKey,
  }: Pick<PublishRequest, 'channel' | 'payloadJson' | 'idempotencyKey'>) {
    try {
      if (!knownChannel.test(channel))
        throw new Refusal(status.INVALID_ARGUMENT, `unknown channel: ${channel.slice(0, 64)}`)
      checkPayload(payloadJson, idempotencyKey)
      const data = Buffer.from(payloadJson.buffer, payloadJson.byteOffset, payloadJson.byteLength)
      const { epoch, seq, duplicate } = await broker.publish(channel, data, {
        ...(idempotencyKey !== '' && { idempotencyKey }),
      })
      onPublish?.({ channel, code: status.OK })
      return { channel, epoch, seq: BigInt(seq), duplicate }
    } catch (error) {
      onPublish?.({ channel, code: refusalOf(error).code })
      throw error
    }
  }

  const publishMethod = PublisherService.method.publish
  const broadcastMethod = PublisherService.method.broadcast
  server.addService(
    { publish: definition(publishMethod), broadcast: definition(broadcastMethod) },
    {
      publish: unary(publishMethod, publish),
      broadcast: unary(broadcastMethod, async ({ channels, payloadJson, idempotencyKey }) => {
        if (channels.length > maxChannels)
          throw new Refusal(status.INVALID_ARGUMENT, `more than ${maxChannels} channels`)
        const results = await Promise.all(
          channels.map((channel) =>
            publish({ channel, payloadJson, idempotencyKey }).then(
              (position) => ({ position, code: status.OK, message: '' }),
              (error: unknown) => ({
                position: { channel },
                code: refusalOf(error).code,
                message: refusalOf(error).message,
              }),
            ),
          ),
        )
        return { results }
      }),
    },
  )

  return {
    listen() {
      const { promise, resolve, reject } = Promise.withResolvers<number>()
      server.bindAsync(`${host}:${port}`, ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      )
      return promise
    },
    close() {
      const { promise, resolve } = Promise.withResolvers<void>()
      const forced = setTimeout(() => server.forceShutdown(), 1000)
      server.tryShutdown(() => {
        clearTimeout(forced)
        resolve()
      })
      return promise
    },
  }
}
