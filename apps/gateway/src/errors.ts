/** The one table from an error's code to what each wire says. A test compares it with docs/http.md. */
import { status } from '@grpc/grpc-js'

/** How one code is told: over HTTP, over gRPC, to a WebSocket client (`retryable`), and the default text. */
export interface ErrorRow {
  readonly http: number
  readonly grpc: status
  readonly retryable: boolean
  readonly message: string
}

/** Every code that the gateway itself answers with. */
export const errorTable = {
  invalid_request: { http: 400, grpc: status.INVALID_ARGUMENT, retryable: false, message: 'Invalid request' },
  auth_denied: { http: 401, grpc: status.UNAUTHENTICATED, retryable: false, message: 'Invalid token' },
  forbidden: { http: 403, grpc: status.PERMISSION_DENIED, retryable: false, message: 'Forbidden' },
  not_found: { http: 404, grpc: status.NOT_FOUND, retryable: false, message: 'Not found' },
  conflict: { http: 409, grpc: status.ABORTED, retryable: false, message: 'Conflict' },
  payload_too_large: {
    http: 413,
    grpc: status.RESOURCE_EXHAUSTED,
    retryable: false,
    message: 'Request body too large',
  },
  rate_limited: { http: 429, grpc: status.RESOURCE_EXHAUSTED, retryable: true, message: 'Too many requests' },
  cancelled: { http: 499, grpc: status.CANCELLED, retryable: false, message: 'The client went away' },
  internal: { http: 500, grpc: status.INTERNAL, retryable: false, message: 'Internal error' },
  unimplemented: { http: 501, grpc: status.UNIMPLEMENTED, retryable: false, message: 'Not implemented' },
  bad_gateway: {
    http: 502,
    grpc: status.UNKNOWN,
    retryable: true,
    message: 'The service gave an unusable answer',
  },
  unavailable: {
    http: 503,
    grpc: status.UNAVAILABLE,
    retryable: true,
    message: 'The service is not available',
  },
  timeout: {
    http: 504,
    grpc: status.DEADLINE_EXCEEDED,
    retryable: true,
    message: 'The service did not answer in time',
  },
} as const satisfies Record<string, ErrorRow>

/** The closed union of the gateway's own error codes. */
export type ErrorCode = keyof typeof errorTable

/**
 * Whose failure a 5xx is, told as `X-Gateway-Reason`: the backend was too late, is away, broke off or gave rubbish; or
 * the gateway held the call back, since the backend is ill (`breaker_open`) or has all the calls it may have; or the
 * request's own time was spent, which says nothing of the backend; or the client's body did not come in time.
 */
export type FailureReason =
  | 'upstream_timeout'
  | 'upstream_unavailable'
  | 'upstream_failed'
  | 'breaker_open'
  | 'upstream_busy'
  | 'budget_spent'
  | 'client_too_slow'

export interface GatewayErrorOptions {
  readonly cause?: unknown
  /** Seconds or milliseconds belong to the wire; here it is milliseconds. */
  readonly retryAfterMs?: number
  readonly reason?: FailureReason
}

/** A refusal or failure on its way to a client; `message` is safe to show. */
export class GatewayError extends Error {
  readonly code: ErrorCode
  readonly retryAfterMs: number | undefined
  readonly reason: FailureReason | undefined

  constructor(code: ErrorCode, message?: string, options: GatewayErrorOptions = {}) {
    super(message ?? errorTable[code].message, 'cause' in options ? { cause: options.cause } : undefined)
    this.name = 'GatewayError'
    this.code = code
    this.retryAfterMs = options.retryAfterMs
    this.reason = options.reason
  }
}

const byGrpcStatus: Readonly<Record<number, ErrorCode>> = {
  [status.CANCELLED]: 'cancelled',
  [status.INVALID_ARGUMENT]: 'invalid_request',
  [status.FAILED_PRECONDITION]: 'invalid_request',
  [status.OUT_OF_RANGE]: 'invalid_request',
  [status.DEADLINE_EXCEEDED]: 'timeout',
  [status.NOT_FOUND]: 'not_found',
  [status.ALREADY_EXISTS]: 'conflict',
  [status.ABORTED]: 'conflict',
  [status.PERMISSION_DENIED]: 'forbidden',
  [status.UNAUTHENTICATED]: 'auth_denied',
  [status.RESOURCE_EXHAUSTED]: 'rate_limited',
  [status.UNIMPLEMENTED]: 'unimplemented',
  [status.UNAVAILABLE]: 'unavailable',
}

/** gRPC status of a backend's answer → our code (google.rpc.Code's HTTP mapping); anything else is `internal`. */
export function codeOfGrpcStatus(grpcStatus: number): ErrorCode {
  return byGrpcStatus[grpcStatus] ?? 'internal'
}
