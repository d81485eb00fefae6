import {
  create,
  type DescMessage,
  type DescService,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf'
import { Client, credentials, Metadata } from '@grpc/grpc-js'
import { currentOrigin } from '../call-origin.ts'
import { methodDefinition } from './service-definition.ts'

/** A promise-returning method per RPC of a service whose methods are all unary. */
export type GrpcClient<S extends DescService> = {
  readonly [K in keyof S['method']]: S['method'][K] extends {
    input: infer I extends DescMessage
    output: infer O extends DescMessage
  }
    ? (request: MessageInitShape<I>) => Promise<MessageShape<O>>
    : never
} & { readonly close: () => void }

export interface GrpcClientOptions {
  /** host:port, plaintext. */
  readonly address: string
  /** Deadline of every call, in ms. */
  readonly timeoutMs: number
}

/** A plaintext client; calls carry the trace and request that is being served. Calls fail at once while the server is away, and reconnecting is tried at least every 2 s. */
export function createGrpcClient<S extends DescService>(
  service: S,
  options: GrpcClientOptions,
): GrpcClient<S> {
  const client = new Client(options.address, credentials.createInsecure(), {
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 2000,
  })
  const methods = service.methods.map((method) => {
    const { path, requestSerialize, responseDeserialize } = methodDefinition(method)
    const call = (request: MessageInitShape<DescMessage>): Promise<unknown> =>
      new Promise((resolve, reject) => {
        const callOptions = { deadline: Date.now() + options.timeoutMs }
        const message = create(method.input, request)
        const { traceparent, requestId } = currentOrigin()
        const metadata = new Metadata()
        if (traceparent !== undefined) metadata.set('traceparent', traceparent)
        if (requestId !== undefined) metadata.set('x-request-id', requestId)
        client.makeUnaryRequest(
          path,
          requestSerialize,
          responseDeserialize,
          message,
          metadata,
          callOptions,
          (error, value) => (error ? reject(error) : resolve(value)),
        )
      })
    return [method.localName, call]
  })
  // The table is built from the same descriptor that the type is computed from.
  return { ...Object.fromEntries(methods), close: () => client.close() } as GrpcClient<S>
}
