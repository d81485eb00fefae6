import {
  create,
  type DescMessage,
  type DescMethod,
  type DescService,
  type MessageInitShape,
  type MessageShape,
  toJson,
} from '@bufbuild/protobuf'
import {
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { originOf, runWithOrigin } from '../call-origin.ts'
import { type CallLog, redactMetadata } from '../control/call-log.ts'
import type { Faults, ServiceName } from '../control/faults.ts'
import { PlatformError } from '../platform-error.ts'
import { methodDefinition } from './service-definition.ts'

/** One function per RPC. It returns the answer, or throws a PlatformError; anything else becomes INTERNAL. */
export type Handlers<S extends DescService> = {
  readonly [K in keyof S['method']]: S['method'][K] extends {
    input: infer I extends DescMessage
    output: infer O extends DescMessage
  }
    ? (request: MessageShape<I>) => Promise<MessageInitShape<O>> | MessageInitShape<O>
    : never
}

export interface GrpcServerOptions<S extends DescService> {
  readonly name: ServiceName
  readonly service: S
  readonly handlers: Handlers<S>
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
  readonly calls: CallLog
  readonly faults: Faults
  readonly onError: (error: unknown, method: string) => void
}

/** A listening server. `stop` answers what is in flight for up to 500 ms, then cuts. */
export interface GrpcServer {
  readonly port: number
  readonly stop: () => Promise<void>
}

/** Serves one protobuf-es service over plaintext HTTP/2: every call is recorded, then meets the faults, then its handler. */
export async function startGrpcServer<S extends DescService>(
  options: GrpcServerOptions<S>,
): Promise<GrpcServer> {
  const server = new Server()
  const definition = Object.fromEntries(
    options.service.methods.map((method) => [method.localName, methodDefinition(method)]),
  )
  const implementation: UntypedServiceImplementation = Object.fromEntries(
    options.service.methods.map((method) => [method.localName, serveMethod(method, options)]),
  )
  server.addService(definition, implementation)
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(
      authority(options.host, options.port),
      ServerCredentials.createInsecure(),
      (error, bound) => (error ? reject(error) : resolve(bound)),
    )
  })
  return { port, stop: () => stopServer(server) }
}

/** `host:port`, with an IPv6 address in brackets. */
export function authority(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

type UnaryCall = ServerUnaryCall<MessageShape<DescMessage>, unknown>

function serveMethod<S extends DescService>(method: DescMethod, options: GrpcServerOptions<S>) {
  const table = options.handlers as Record<string, (request: unknown) => unknown>
  const handler = table[method.localName]
  const answer = async (call: UnaryCall): Promise<unknown> => {
    record(method, call, options)
    const gone = new AbortController()
    call.once('cancelled', () => gone.abort())
    await options.faults.apply(options.name, method.name, gone.signal)
    const value = await handler?.(call.request)
    return create(method.output, value as MessageInitShape<DescMessage>)
  }
  const respond = async (call: UnaryCall, callback: sendUnaryData<unknown>): Promise<void> => {
    const origin = originOf(call.metadata.getMap())
    const outcome = await runWithOrigin(origin, () => answer(call)).then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    )
    if ('value' in outcome) return callback(null, outcome.value)
    const { error } = outcome
    if (error instanceof PlatformError) return callback({ code: status[error.code], details: error.message })
    options.onError(error, method.name)
    callback({ code: status.INTERNAL, details: 'INTERNAL' })
  }
  return (call: UnaryCall, callback: sendUnaryData<unknown>): void => {
    void respond(call, callback)
  }
}

function record<S extends DescService>(
  method: DescMethod,
  call: UnaryCall,
  options: GrpcServerOptions<S>,
): void {
  const deadline = call.getDeadline()
  const at = Date.now()
  options.calls.add({
    service: options.name,
    method: method.name,
    request: toJson(method.input, call.request),
    metadata: redactMetadata(call.metadata.getMap()),
    deadlineMs: deadline === Number.POSITIVE_INFINITY ? null : Number(deadline) - at,
    at,
  })
}

function stopServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => {
      server.forceShutdown()
      resolve()
    }, 500)
    server.tryShutdown(() => {
      clearTimeout(cut)
      resolve()
    })
  })
}
