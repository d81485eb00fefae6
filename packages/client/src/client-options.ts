import { type Feature, features } from '@gw/protocol'
import { backoffDefaults, type BackoffOptions } from './backoff-delay.ts'
import { ClientError } from './client-error.ts'
import type { WebSocketConstructor } from './web-socket-like.ts'

/** Why a token is wanted: for a new connection, because the last one ends soon, or because the server refused it. */
export type TokenReason = 'connect' | 'expiring' | 'refused'

/** Gives the token to connect with; after `refused` the same one again ends the client. */
export type TokenProvider = (reason: TokenReason) => string | Promise<string>

export interface ClientOptions {
  /** `ws://…/ws` or `wss://…/ws`; a function is asked for each connection. */
  readonly url: string | (() => string)
  readonly token: string | TokenProvider
  /** What to ask for. Default all. Without `acks` no request is ever answered. */
  readonly features?: readonly Feature[]
  /** Default the global one. */
  readonly WebSocket?: WebSocketConstructor
  /** From the start of a connection to its Welcome, and for the token. Default 10 000. */
  readonly connectTimeoutMs?: number
  /** For a request, over all reconnects. Default 15 000. */
  readonly requestTimeoutMs?: number
  /** Requests waiting for an answer, or for a connection; more fail with `queue_full` and are not sent. The client's own do not count. Default 100. */
  readonly maxPending?: number
  readonly backoff?: BackoffOptions
  /** In [0, 1). Default `Math.random`. */
  readonly random?: () => number
  /** ms, only differences matter. Default `performance.now`. */
  readonly now?: () => number
}

/** The longest time that a timer takes, in ms: a longer one would be over at once. */
export const maxTimerMs = 2_147_483_647

/** The options with every default filled in. */
export type Settings = Required<ClientOptions> & { readonly backoff: Required<BackoffOptions> }

/** Fills in the defaults. Throws `no_web_socket` or `invalid_options`. */
export function toSettings(options: ClientOptions): Settings {
  const WebSocket = options.WebSocket ?? globalThis.WebSocket
  if (!WebSocket) throw new ClientError('no_web_socket', 'This platform has no WebSocket: pass one')
  const settings = {
    features,
    connectTimeoutMs: 10_000,
    requestTimeoutMs: 15_000,
    maxPending: 100,
    random: Math.random,
    now: (): number => performance.now(),
    ...options,
    WebSocket,
    backoff: { ...backoffDefaults, ...options.backoff },
  }
  const { connectTimeoutMs, requestTimeoutMs, maxPending, backoff } = settings
  for (const [name, value] of Object.entries({ connectTimeoutMs, requestTimeoutMs, maxPending, ...backoff }))
    if (!(value > 0)) throw new ClientError('invalid_options', `${name} must be above 0`)
  for (const [name, value] of Object.entries({ connectTimeoutMs, requestTimeoutMs, maxMs: backoff.maxMs }))
    if (value > maxTimerMs) throw new ClientError('invalid_options', `${name} must be at most ${maxTimerMs}`)
  return settings
}
