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
import { parseChannel } from '@gw/protocol'
import type { PublishResult } from '@gw/pubsub'
import { errorTable, GatewayError } from '../errors.ts'
import type { CallScope } from '../observe/call-scope.ts'
import type { BroadcastService } from '../services/broadcast-service.ts'
import { type PublishRequest, PublisherService } from './gen/gateway/v1/publisher_pb.ts'

export interface PublisherServerOptions {
  readonly broadcast: BroadcastService
  readonly host: string
  readonly port: number
  /** Each call is answered inside of it. */
  readonly scope: CallScope
}

export interface PublisherServer {
  /** Resolves to the port. */
  listen(): Promise<number>
  close(): Promise<void>
}

const maxChannels = 1000

class Refusal extends Error {
  readonly code: status
  constructor(code: status, message: string) {
    super(message)
    this.code = code
  }
}

function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error
  if (error instanceof GatewayError) return new Refusal(errorTable[error.code].grpc, error.message)
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
  scope: CallScope,
  method: Method<I, O>,
  answer: (request: MessageShape<I>) => Promise<MessageInitShape<O>>,
) {
  return (
    call: ServerUnaryCall<MessageShape<I>, MessageShape<O>>,
    callback: sendUnaryData<MessageShape<O>>,
  ): void => {
    const [traceparent, requestId] = ['traceparent', 'x-request-id'].map((name) => call.metadata.get(name)[0])
    const facts = { rpc: `${PublisherService.typeName}/${method.name}`, traceparent, requestId }
    scope(facts, () => answer(call.request)).then(
      (reply) => callback(null, create(method.output, reply)),
      (error: unknown) => {
        const { code, message } = refusalOf(error)
        callback({ code, details: message })
      },
    )
  }
}

type Message = Pick<PublishRequest, 'channel' | 'payloadJson' | 'idempotencyKey'>

/** Serves `gateway.v1.PublisherService` in plaintext; bind it to a private address. */
export function createPublisherServer(options: PublisherServerOptions): PublisherServer {
  const { broadcast, host, port, scope } = options
  const server = new Server({ 'grpc.max_receive_message_length': 1024 * 1024 })

  function send({ channel, payloadJson, idempotencyKey }: Message): Promise<PublishResult> {
    const options = idempotencyKey === '' ? {} : { idempotencyKey }
    const named = parseChannel(channel)
    if (named?.kind === 'user') return broadcast.broadcastToUser(named.id, payloadJson, options)
    if (named?.kind === 'all') return broadcast.broadcastToAll(payloadJson, options)
    return broadcast.broadcastToChannel(channel, payloadJson, options)
  }

  async function publish(message: Message) {
    const { epoch, seq, duplicate } = await send(message)
    return { channel: message.channel, epoch, seq: BigInt(seq), duplicate }
  }

  const publishMethod = PublisherService.method.publish
  const broadcastMethod = PublisherService.method.broadcast
  server.addService(
    { publish: definition(publishMethod), broadcast: definition(broadcastMethod) },
    {
      publish: unary(scope, publishMethod, publish),
      broadcast: unary(scope, broadcastMethod, async ({ channels, payloadJson, idempotencyKey }) => {
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
