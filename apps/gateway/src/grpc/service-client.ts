/** A typed, promise-based client of one generated protobuf-es service over grpc-js. Every call has a deadline. */
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf'
import {
  type ChannelCredentials,
  Client,
  type ClientOptions,
  connectivityState,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js'
import { codeOfGrpcStatus, type FailureReason, GatewayError } from '../errors.ts'
import type { BackendGuard } from './backend-guard.ts'

/** What a caller may say about one call. `signal` cancels it on the wire; `requestId` and trace go into metadata. */
export interface CallOptions {
  readonly signal?: AbortSignal
  readonly timeoutMs?: number
  /** End of the budget that all calls of one request share, by `performance.now()`: no call outlives it. */
  readonly deadlineAtMs?: number
  readonly requestId?: string
}

/** One finished call, for metrics: `code` is the gRPC status number. */
export interface CallRecord {
  readonly service: string
  readonly method: string
  readonly code: number
  readonly seconds: number
}

type Unary<S extends DescService, K extends keyof S['method']> = S['method'][K] extends {
  methodKind: 'unary'
  input: infer I extends DescMessage
  output: infer O extends DescMessage
}
  ? (request: MessageInitShape<I>, options?: CallOptions) => Promise<MessageShape<O>>
  : never

/** The service's methods by their generated names, and `close`. */
export type ServiceClient<S extends DescService> = { readonly [K in keyof S['method']]: Unary<S, K> } & {
  close(): void
}

function reasonOf(code: status): FailureReason | undefined {
  if (code === status.DEADLINE_EXCEEDED) return 'upstream_timeout'
  if (code === status.UNAVAILABLE) return 'upstream_unavailable'
  return failed.has(code) ? 'upstream_failed' : undefined
}

/** `NOT_YOUR_TURN`: a service that has a word for it has judged the call. What grpc-js says by itself is prose. */
function codeWordOf(details: string): string | undefined {
  return /^[A-Z][A-Z_]{2,63}$/.test(details) ? details : undefined
}

/**
 * A failed backend call: `code` by the one error table, `status` and `details` as the backend gave them. With a code word
 * it is a refusal whatever its status, and has no `reason`: Game says UNAVAILABLE of a key whose first call still runs.
 */
export class BackendError extends GatewayError {
  readonly status: number
  readonly details: string
  readonly codeWord: string | undefined

  constructor(error: ServiceError, failure: FailureReason | undefined = reasonOf(error.code)) {
    const codeWord = codeWordOf(error.details)
    const reason = codeWord === undefined ? failure : undefined
    super(codeOfGrpcStatus(error.code), undefined, { cause: error, ...(reason && { reason }) })
    this.name = 'BackendError'
    this.status = error.code
    this.details = error.details
    this.codeWord = codeWord
  }
}

export interface ServiceClientOptions {
  readonly address: string
  readonly credentials: ChannelCredentials
  readonly timeoutMs: number
  readonly channel?: ClientOptions
  /** Metadata of every call, e.g. the trace context of the moment. */
  readonly metadata?: () => Readonly<Record<string, string>>
  readonly onCall?: (call: CallRecord) => void
  /** Concurrency cap, breaker and retries; default: none. */
  readonly guard?: BackendGuard
  /** A connection that never came up was given up for a new one. */
  readonly onReconnect?: () => void
}

const failed: ReadonlySet<number> = new Set([status.UNKNOWN, status.INTERNAL, status.DATA_LOSS])

/** Calls that change nothing may be made twice. */
const isRead = (method: DescMethod): boolean => /^(?:Get|List|Query|Is)/.test(method.name)

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** grpc-js reports an answer above the size limit as if the backend had said RESOURCE_EXHAUSTED; only its text tells. */
function isTooLarge({ code, details }: ServiceError): boolean {
  return code === status.RESOURCE_EXHAUSTED && details.startsWith('Received message larger than max')
}

/** grpc-js takes a stack for each call, for the text of an error that may come: a tenth of what the call costs. */
function withoutStacks<T>(call: () => T): T {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    return call()
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

interface AttemptOptions {
  readonly metadata: Metadata
  /** By `performance.now()`: of the whole call, retries included. */
  readonly deadlineAtMs: number
  readonly signal?: AbortSignal
}

/** Opens a channel lazily: nothing is connected before the first call. Rejections are {@link BackendError}. */
export function createServiceClient<S extends DescService>(
  service: S,
  options: ServiceClientOptions,
): ServiceClient<S> {
  const connect = (): Client => new Client(options.address, options.credentials, options.channel)
  let client = connect()

  /** grpc-js waits for ever on a peer that accepts TCP and says nothing (grpc-node #2785): a new channel is the way out. */
  function replaceIfStuck(stuck: Client): void {
    if (stuck !== client || stuck.getChannel().getConnectivityState(false) !== connectivityState.CONNECTING)
      return
    client = connect()
    stuck.close()
    options.onReconnect?.()
  }

  function attempt(
    method: DescMethod,
    request: MessageShape<DescMessage>,
    callOptions: AttemptOptions,
  ): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const { signal, metadata, deadlineAtMs } = callOptions
    const startedAt = performance.now()
    const onAbort = (): void => running.cancel()
    const used = client
    let unreadable: unknown
    const running = withoutStacks(() =>
      used.makeUnaryRequest(
        `/${service.typeName}/${method.name}`,
        (message: MessageShape<DescMessage>) => bufferOf(toBinary(method.input, message)),
        (bytes: Buffer) => {
          try {
            return fromBinary(method.output, bytes)
          } catch (error) {
            unreadable = error
            throw error
          }
        },
        request,
        metadata,
        { deadline: Date.now() + Math.max(0, deadlineAtMs - startedAt) },
        (error, value) => {
          signal?.removeEventListener('abort', onAbort)
          const seconds = (performance.now() - startedAt) / 1000
          options.onCall?.({
            service: service.typeName,
            method: method.name,
            code: error?.code ?? 0,
            seconds,
          })
          if (!error) return resolve(value)
          if (error.code === status.DEADLINE_EXCEEDED) replaceIfStuck(used)
          if (unreadable !== undefined || isTooLarge(error))
            return reject(
              new GatewayError('bad_gateway', undefined, { cause: error, reason: 'upstream_failed' }),
            )
          // With less time left than a call may take: a client's haste must not count against the backend.
          const isCutShort =
            error.code === status.DEADLINE_EXCEEDED && deadlineAtMs - startedAt < options.timeoutMs * 0.9
          reject(isCutShort ? new BackendError(error, 'budget_spent') : new BackendError(error))
        },
      ),
    )
    if (signal?.aborted) running.cancel()
    else signal?.addEventListener('abort', onAbort, { once: true })
    return promise
  }

  function call(
    method: DescMethod,
    init: MessageInitShape<DescMessage>,
    callOptions: CallOptions,
  ): Promise<unknown> {
    const metadata = new Metadata()
    for (const [name, value] of Object.entries(options.metadata?.() ?? {})) metadata.set(name, value)
    if (callOptions.requestId !== undefined) metadata.set('x-request-id', callOptions.requestId)
    const now = performance.now()
    const deadlineAtMs = Math.min(
      now + (callOptions.timeoutMs ?? options.timeoutMs),
      callOptions.deadlineAtMs ?? Number.POSITIVE_INFINITY,
    )
    // Nothing is left of the request's time: the backend need not hear of it.
    if (deadlineAtMs <= now)
      return Promise.reject(new GatewayError('timeout', undefined, { reason: 'budget_spent' }))
    const request = create(method.input, init)
    const run = (): Promise<unknown> =>
      attempt(method, request, {
        metadata,
        deadlineAtMs,
        ...(callOptions.signal && { signal: callOptions.signal }),
      })
    return options.guard ? options.guard.call({ idempotent: isRead(method), deadlineAtMs, run }) : run()
  }

  const methods: Record<string, unknown> = { close: () => client.close() }
  for (const method of service.methods) {
    if (method.methodKind !== 'unary') continue
    methods[method.localName] = (request: MessageInitShape<DescMessage>, callOptions: CallOptions = {}) =>
      call(method, request, callOptions)
  }
  return methods as ServiceClient<S>
}
