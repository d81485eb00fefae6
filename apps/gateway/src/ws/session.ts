/**
 * The protocol of one socket, from the first frame to the close.
 *
 *   waiting ──Authenticate──▶ verifying ──good──▶ ready ──▶ closed
 *      │ hold other frames        │ └──bad──▶ close 1008
 *      └─ deadline ──▶ close 1008 └─ deadline, or no keys to tell ──▶ close 1011
 *
 * Frames reach it strictly in order, one at a time (the Connection's queue), so frames right behind Authenticate wait by
 * themselves; frames before it are held here, bounded, and played after Welcome.
 */
import type { Identity, TokenRefusal, TokenVerifier, VerifyResult } from '@gw/auth'
import { type Connection, encodeFrame, type Frame, type SendResult } from '@gw/connections'
import {
  type Authenticate,
  type ClientMessage,
  type CloseName,
  closeCodes,
  type Feature,
  isFeature,
  limits,
  type ServerMessage,
} from '@gw/protocol'
import { parseClientMessage } from '@gw/protocol/schemas'
import { GatewayError } from '../errors.ts'
import type { MessageScope } from '../observe/message-scope.ts'
import type { ClientSession, Reply } from './client-session.ts'
import type { Dispatch } from './dispatch.ts'
import { invalidReply, isObject, refusalOf } from './error-replies.ts'
import type { Restore } from './restore.ts'
import { watchTokenLife } from './token-life.ts'
import { welcomeOf } from './welcome.ts'

/** What happened, for logs and metrics: never a token, never a message's text. */
export type SessionEvent =
  | { readonly type: 'authenticated'; readonly session: ClientSession }
  | {
      readonly type: 'auth_refused'
      readonly reason: string
      readonly connectionId: string
      readonly address: string
    }
  | {
      readonly type: 'message'
      readonly messageType: string
      readonly result: string
      readonly seconds: number
      readonly session: ClientSession
    }
  /** The socket is not read for a while: too much of it waits. */
  | { readonly type: 'paused' }
  | {
      readonly type: 'failed'
      readonly messageType: string
      readonly error: unknown
      readonly session: ClientSession
    }

export interface SessionOptions {
  readonly connection: Connection
  /** Of the handshake. */
  readonly requestId: string
  readonly verifier: TokenVerifier
  readonly dispatch: Dispatch
  readonly instanceId: string
  /** Longest silence towards a client with feature `heartbeat`, in ms. */
  readonly heartbeatMs: number
  readonly address: string
  readonly clientType: 'web' | 'mobile'
  readonly authTimeoutMs: number
  /** From a token's end to the close. */
  readonly tokenGraceMs: number
  /** Token that came with the handshake, by header, subprotocol or query. */
  readonly handshakeToken?: string
  /** Registers the identified connection; a name closes the socket with that code. */
  readonly admit: (session: ClientSession) => CloseName | undefined
  /** The socket has a newer token of the same user. */
  readonly onRenewed: (session: ClientSession) => void
  /** Called once behind Welcome. */
  readonly onReady: (session: ClientSession) => void
  /** Brings subscriptions back behind Welcome; what the client sends meanwhile waits. */
  readonly restore: Restore
  /** Each message is handled inside of it. */
  readonly scope: MessageScope
  /** What became of a message to this client alone. */
  readonly onSent: (frame: Frame, result: SendResult) => void
  readonly onEvent: (event: SessionEvent) => void
}

export interface Session {
  /** Messages that were handled. */
  readonly handled: number
  /** One frame of the client. */
  receive(data: Buffer): Promise<void>
  /** Verifies the handshake's token, if there was one, and starts the deadline. */
  open(): Promise<void>
  /** The socket is gone. Undefined when it never authenticated. */
  end(): ClientSession | undefined
}

/** Whether the token is good could not be found out: the same one may be taken a moment later. */
export function isUndecided(refusal: TokenRefusal): boolean {
  return refusal.endsWith('_unavailable')
}

function denial(result: VerifyResult): GatewayError {
  return new GatewayError(!result.ok && isUndecided(result.code) ? 'unavailable' : 'auth_denied')
}

function parseJson(data: Buffer): unknown {
  try {
    return JSON.parse(data.toString())
  } catch {
    return undefined
  }
}

export function createSession(options: SessionOptions): Session {
  const { connection, verifier, onEvent } = options
  let phase: 'waiting' | 'verifying' | 'ready' | 'closed' = 'waiting'
  let session: ClientSession | undefined
  let held: Buffer[] = []
  let heldBytes = 0
  let opening: Promise<void> | undefined
  let mayState = false
  let handled = 0
  let stopWatchingToken = (): void => {}
  const deadline = setTimeout(
    () => close(phase === 'verifying' ? 'auth_unavailable' : 'auth_required', 'deadline'),
    options.authTimeoutMs,
  )

  function close(name: CloseName, why: string): void {
    if (phase === 'closed') return
    if (phase !== 'ready') {
      const { id: connectionId } = connection
      onEvent({ type: 'auth_refused', reason: why, connectionId, address: options.address })
    }
    phase = 'closed'
    clearTimeout(deadline)
    const { code, reason } = closeCodes[name]
    connection.close(code, reason)
  }

  function send(message: ServerMessage): void {
    const frame = encodeFrame(JSON.stringify(message))
    options.onSent(frame, connection.send(frame))
  }

  /** Counts the token's life from now on, instead of the one before. */
  function watchToken({ expiresAtMs }: Identity, asked: boolean): void {
    stopWatchingToken()
    stopWatchingToken = watchTokenLife({
      graceMs: options.tokenGraceMs,
      expiresAtMs,
      onExpiring() {
        if (asked) send({ type: 'TokenExpiring', expiresAt: new Date(expiresAtMs).toISOString() })
      },
      onExpired: () => close(asked ? 'token_expired' : 'auth_refused', 'expired'),
    })
  }

  function createClientSession(identity: Identity, features: ReadonlySet<Feature>): ClientSession {
    return {
      connectionId: connection.id,
      userId: identity.subject,
      identity,
      address: options.address,
      clientType: options.clientType,
      features,
      connection,
      send,
    }
  }

  function grant(asked: readonly string[] = []): ReadonlySet<Feature> {
    return new Set(asked.filter(isFeature))
  }

  /** `asked` is undefined when the token came with the handshake: features and resume may still follow. */
  function authenticate(token: string, asked?: Authenticate): Promise<void> {
    phase = 'verifying'
    const { requestId } = options
    const facts = { requestId, connectionId: connection.id, userId: undefined, tableId: undefined }
    return options.scope({ ...facts, type: 'Authenticate' }, () => enter(token, asked))
  }

  async function enter(token: string, asked: Authenticate | undefined): Promise<void> {
    const result = await verifier.verifyToken(token)
    if (phase !== 'verifying') return
    if (!result.ok) return close(isUndecided(result.code) ? 'auth_unavailable' : 'auth_refused', result.code)
    const features = grant(asked?.features)
    session = createClientSession(result.identity, features)
    const refusal = options.admit(session)
    if (refusal) return close(refusal, 'too_many_connections')
    clearTimeout(deadline)
    phase = 'ready'
    watchToken(result.identity, features.size > 0)
    send(welcomeOf(session, options, asked?.id))
    onEvent({ type: 'authenticated', session })
    options.onReady(session)
    mayState = asked === undefined
    await options.restore(asked?.resume, session)
    const early = held
    held = []
    for (const frame of early) if (phase === 'ready') await handle(frame, session)
  }

  async function beforeAuthentication(data: Buffer): Promise<void> {
    const json = parseJson(data)
    if (!isObject(json)) return close('auth_malformed', 'malformed')
    if (json['type'] !== 'Authenticate') {
      held.push(data)
      heldBytes += data.length
      if (held.length > limits.maxEarlyFrames || heldBytes > limits.maxEarlyBytes)
        close('auth_required', 'too_many_early_frames')
      return
    }
    const parsed = parseClientMessage(json)
    if (!parsed.ok || parsed.message.type !== 'Authenticate') return close('auth_required', 'blank_token')
    await authenticate(parsed.message.token, parsed.message)
  }

  /** After a token in the handshake: the client says what it understands and where it was. */
  async function state(asked: Authenticate, current: ClientSession): Promise<Reply> {
    const result = await verifier.verifyToken(asked.token)
    if (!result.ok || result.identity.subject !== current.userId) {
      if (asked.features === undefined) return 'answered'
      throw denial(result)
    }
    mayState = false
    const next = { ...current, identity: result.identity, features: grant(asked.features) }
    session = next
    options.onRenewed(next)
    watchToken(next.identity, next.features.size > 0)
    send(welcomeOf(next, options, asked.id))
    await options.restore(asked.resume, next)
    return 'answered'
  }

  /** A token on an open socket renews it when it is the same user's; today's client repeats its first one by accident. */
  async function renew({ token, id }: Authenticate, current: ClientSession): Promise<Reply> {
    const result = await verifier.verifyToken(token)
    if (!result.ok || result.identity.subject !== current.userId) {
      if (current.features.size === 0) return 'answered'
      throw denial(result)
    }
    const { identity } = result
    session = { ...current, identity }
    options.onRenewed(session)
    watchToken(identity, current.features.size > 0)
    if (id === undefined || !current.features.has('acks')) return 'answered'
    return { type: 'Ack', id, tokenExpiresAt: new Date(identity.expiresAtMs).toISOString() }
  }

  function answer(message: ClientMessage, reply: Reply, current: ClientSession): void {
    if (reply === 'answered') return
    const { id } = message
    if (reply !== undefined) send(id === undefined ? reply : { ...reply, id })
    else if (id !== undefined && current.features.has('acks')) send({ type: 'Ack', id })
  }

  /** Answers one message; resolves to `ok` or the word for what was wrong. */
  async function respond(message: ClientMessage, current: ClientSession): Promise<string> {
    try {
      const reply =
        message.type === 'Authenticate'
          ? await (mayState ? state : renew)(message, current)
          : await options.dispatch(message, current)
      answer(message, reply, current)
      if (reply === undefined || reply === 'answered') return 'ok'
      return reply.type === 'Error' || reply.type === 'ChatError' ? 'refused' : 'ok'
    } catch (error) {
      const refusal = refusalOf(error, message)
      send(refusal)
      if (refusal.code === 'internal')
        onEvent({ type: 'failed', messageType: message.type, error, session: current })
      return refusal.code
    }
  }

  async function handle(data: Buffer, current: ClientSession): Promise<void> {
    const startedAt = performance.now()
    const json = parseJson(data)
    const parsed = parseClientMessage(json)
    const messageType = parsed.ok ? parsed.message.type : 'invalid'
    const facts = {
      requestId: `${connection.id}.${++handled}`,
      connectionId: connection.id,
      userId: current.userId,
      type: messageType,
      tableId: parsed.ok && 'tableId' in parsed.message ? parsed.message.tableId : undefined,
    }
    await options.scope(facts, async () => {
      let result: string
      if (parsed.ok) result = await respond(parsed.message, current)
      else {
        send(invalidReply(parsed, json))
        result = parsed.code
      }
      const seconds = (performance.now() - startedAt) / 1000
      onEvent({ type: 'message', messageType, result, seconds, session: current })
    })
  }

  return {
    get handled() {
      return handled
    },
    async open() {
      if (options.handshakeToken === undefined) return
      opening = authenticate(options.handshakeToken)
      await opening
    },
    async receive(data) {
      // Frames that come while the handshake's token is verified wait for the verdict.
      if (phase === 'verifying') await opening
      if (phase === 'waiting') await beforeAuthentication(data)
      else if (phase === 'ready' && session) await handle(data, session)
    },
    end() {
      const was = session
      phase = 'closed'
      held = []
      clearTimeout(deadline)
      stopWatchingToken()
      return was
    },
  }
}
