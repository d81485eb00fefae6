export { type Client, createClient } from './create-client.ts'
export type { ClientOptions, TokenProvider, TokenReason } from './client-options.ts'
export type { ClientEvents, ClientState, Failure, Gap, Lost, StateChange } from './client-events.ts'
export type {
  ReplyTo,
  RequestFailure,
  RequestFailureCode,
  RequestMessage,
  RequestResult,
  RequestType,
} from './pending-requests.ts'
export { backoffDelay, type BackoffOptions } from './backoff-delay.ts'
export type { SocketEvent, WebSocketConstructor, WebSocketLike } from './web-socket-like.ts'
export { ClientError, type ClientErrorCode } from './client-error.ts'
