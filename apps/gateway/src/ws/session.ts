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
import type { Dispatch, Limit } from './dispatch.ts'
import { invalidReply, isObject, isUnanswered, limitedReply, refusalOf } from './error-replies.ts'
import type { Restore } from './restore.ts'
import type { TokenHolder, TokenLives } from './token-life.ts'
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

/** What the sessions of all sockets share. */
export interface SessionContext {
  readonly verifier: TokenVerifier
  readonly dispatch: Dispatch
  /** For what never comes to `dispatch`, which asks it itself: tokens, and what no schema knows. */
  readonly limit: Limit
  readonly instanceId: string
  /** Longest silence towards a client with feature `heartbeat`, in ms. */
  readonly heartbeatMs: number
  readonly authTimeoutMs: number
  readonly tokenLives: TokenLives
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

/** The socket of one session. */
export interface SessionSocket {
  readonly connection: Connection
  /** Of the handshake. */
  readonly requestId: string
  readonly address: string
  readonly clientType: 'web' | 'mobile'
  /** Registers the identified connection; a name closes the socket with that code. */
  admit(session: ClientSession): CloseName | undefined
  /** The socket has a newer token of the same user. */
  renewed(session: ClientSession): void
}

export interface Session {
  /** Messages that were handled. */
  readonly handled: number
  /** One frame of the client. */
  receive(data: Buffer): Promise<void>
  /** Verifies the token that came with the handshake, by header, subprotocol or query. */
  open(handshakeToken: string): Promise<void>
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

function grant(asked: readonly string[] = []): ReadonlySet<Feature> {
  const granted = asked.filter(isFeature)
  return granted.length === 0 ? noFeatures : new Set(granted)
}

const noFeatures: ReadonlySet<Feature> = new Set()

/** Starts to wait for the token. */
export function createSession(socket: SessionSocket, context: SessionContext): Session {
  return new SocketSession(socket, context)
}

/** One for each of thousands of sockets: an object of few fields instead of closures. */
class SocketSession implements Session, TokenHolder {
  readonly #socket: SessionSocket
  readonly #context: SessionContext
  #phase: 'waiting' | 'verifying' | 'ready' | 'closed' = 'waiting'
  #session: ClientSession | undefined
  #held: Buffer[] | undefined
  #heldBytes = 0
  #opening: Promise<void> | undefined
  #mayState = false
  #handled = 0
  #deadline: NodeJS.Timeout | undefined

  constructor(socket: SessionSocket, context: SessionContext) {
    this.#socket = socket
    this.#context = context
    this.#deadline = setTimeout(
      () => this.#close(this.#phase === 'verifying' ? 'auth_unavailable' : 'auth_required', 'deadline'),
      context.authTimeoutMs,
    )
  }

  get handled(): number {
    return this.#handled
  }

  async open(handshakeToken: string): Promise<void> {
    this.#opening = this.#authenticate(handshakeToken)
    await this.#opening
    this.#opening = undefined
  }

  async receive(data: Buffer): Promise<void> {
    // Frames that come while the handshake's token is verified wait for the verdict.
    if (this.#phase === 'verifying') await this.#opening
    if (this.#phase === 'waiting') await this.#beforeAuthentication(data)
    else if (this.#phase === 'ready' && this.#session) await this.#handle(data, this.#session)
  }

  end(): ClientSession | undefined {
    this.#phase = 'closed'
    this.#held = undefined
    this.#stopWaiting()
    this.#context.tokenLives.forget(this)
    return this.#session
  }

  onTokenExpiring(): void {
    const session = this.#session
    if (session === undefined || session.features.size === 0) return
    this.#send({ type: 'TokenExpiring', expiresAt: new Date(session.identity.expiresAtMs).toISOString() })
  }

  onTokenExpired(): void {
    const isAsked = (this.#session?.features.size ?? 0) > 0
    this.#close(isAsked ? 'token_expired' : 'auth_refused', 'expired')
  }

  #close(name: CloseName, why: string): void {
    if (this.#phase === 'closed') return
    const { connection, address } = this.#socket
    if (this.#phase !== 'ready') {
      const { id: connectionId } = connection
      this.#context.onEvent({ type: 'auth_refused', reason: why, connectionId, address })
    }
    this.#phase = 'closed'
    this.#stopWaiting()
    const { code, reason } = closeCodes[name]
    connection.close(code, reason)
  }

  #stopWaiting(): void {
    clearTimeout(this.#deadline)
    this.#deadline = undefined
  }

  // Handed on with the session.
  readonly #send = (message: ServerMessage): void => {
    const frame = encodeFrame(JSON.stringify(message))
    this.#context.onSent(frame, this.#socket.connection.send(frame))
  }

  /** Its token's life counts from now on, instead of that of the one before. */
  #begin(session: ClientSession): void {
    this.#session = session
    this.#context.tokenLives.watch(this, session.identity.expiresAtMs)
  }

  #createClientSession(identity: Identity, features: ReadonlySet<Feature>): ClientSession {
    const { connection, address, clientType } = this.#socket
    return {
      connectionId: connection.id,
      userId: identity.subject,
      identity,
      address,
      clientType,
      features,
      connection,
      send: this.#send,
    }
  }

  /** `asked` is undefined when the token came with the handshake: features and resume may still follow. */
  #authenticate(token: string, asked?: Authenticate): Promise<void> {
    this.#phase = 'verifying'
    const { requestId, connection } = this.#socket
    const facts = { requestId, connectionId: connection.id, userId: undefined, tableId: undefined }
    return this.#context.scope({ ...facts, type: 'Authenticate' }, () => this.#enter(token, asked))
  }

  async #enter(token: string, asked: Authenticate | undefined): Promise<void> {
    const context = this.#context
    const result = await context.verifier.verifyToken(token)
    if (this.#phase !== 'verifying') return
    if (!result.ok)
      return this.#close(isUndecided(result.code) ? 'auth_unavailable' : 'auth_refused', result.code)
    const session = this.#createClientSession(result.identity, grant(asked?.features))
    // Only then there is a session that can end.
    const refusal = this.#socket.admit(session)
    if (refusal) return this.#close(refusal, 'too_many_connections')
    this.#stopWaiting()
    this.#phase = 'ready'
    this.#begin(session)
    this.#send(welcomeOf(session, context, asked?.id))
    context.onEvent({ type: 'authenticated', session })
    context.onReady(session)
    this.#mayState = asked === undefined
    await context.restore(asked?.resume, session)
    const early = this.#held ?? []
    this.#held = undefined
    for (const frame of early) if (this.#isReady()) await this.#handle(frame, session)
  }

  #isReady(): boolean {
    return this.#phase === 'ready'
  }

  async #beforeAuthentication(data: Buffer): Promise<void> {
    const json = parseJson(data)
    if (!isObject(json)) return this.#close('auth_malformed', 'malformed')
    if (json['type'] !== 'Authenticate') return this.#hold(data)
    const parsed = parseClientMessage(json)
    if (!parsed.ok || parsed.message.type !== 'Authenticate')
      return this.#close('auth_required', 'blank_token')
    await this.#authenticate(parsed.message.token, parsed.message)
  }

  #hold(data: Buffer): void {
    this.#held ??= []
    this.#held.push(data)
    this.#heldBytes += data.length
    if (this.#held.length > limits.maxEarlyFrames || this.#heldBytes > limits.maxEarlyBytes)
      this.#close('auth_required', 'too_many_early_frames')
  }

  /** On an open socket too, a token that is refused may be a guess. */
  #tell(result: VerifyResult): void {
    const { connection, address } = this.#socket
    if (!result.ok)
      this.#context.onEvent({
        type: 'auth_refused',
        reason: result.code,
        connectionId: connection.id,
        address,
      })
  }

  /** After a token in the handshake: the client says what it understands and where it was. */
  async #state(asked: Authenticate, current: ClientSession): Promise<Reply> {
    const context = this.#context
    const result = await context.verifier.verifyToken(asked.token)
    if (!this.#isReady()) return 'answered'
    this.#tell(result)
    if (!result.ok || result.identity.subject !== current.userId) {
      if (asked.features === undefined) return 'answered'
      throw denial(result)
    }
    this.#mayState = false
    const next = { ...current, identity: result.identity, features: grant(asked.features) }
    this.#begin(next)
    this.#socket.renewed(next)
    this.#send(welcomeOf(next, context, asked.id))
    await context.restore(asked.resume, next)
    return 'answered'
  }

  /** A token on an open socket renews it when it is the same user's; today's client repeats its first one by accident. */
  async #renew({ token, id }: Authenticate, current: ClientSession): Promise<Reply> {
    const result = await this.#context.verifier.verifyToken(token)
    if (!this.#isReady()) return 'answered'
    this.#tell(result)
    if (!result.ok || result.identity.subject !== current.userId) {
      if (current.features.size === 0) return 'answered'
      throw denial(result)
    }
    const { identity } = result
    const next = { ...current, identity }
    this.#begin(next)
    this.#socket.renewed(next)
    if (id === undefined || !current.features.has('acks')) return 'answered'
    return { type: 'Ack', id, tokenExpiresAt: new Date(identity.expiresAtMs).toISOString() }
  }

  #answer(message: ClientMessage, reply: Reply, current: ClientSession): void {
    if (reply === 'answered') return
    const { id } = message
    if (reply !== undefined) this.#send(id === undefined ? reply : { ...reply, id })
    else if (id !== undefined && current.features.has('acks')) this.#send({ type: 'Ack', id })
  }

  async #replyTo(message: ClientMessage, current: ClientSession): Promise<Reply> {
    if (message.type !== 'Authenticate') return this.#context.dispatch(message, current)
    const refusal = await this.#context.limit(message.type, current)
    if (refusal) throw new GatewayError('rate_limited', undefined, refusal)
    return this.#mayState ? this.#state(message, current) : this.#renew(message, current)
  }

  /** Answers one message; resolves to `ok` or the word for what was wrong. */
  async #respond(message: ClientMessage, current: ClientSession): Promise<string> {
    try {
      const reply = await this.#replyTo(message, current)
      if (!isUnanswered(message, current)) this.#answer(message, reply, current)
      if (reply === undefined || reply === 'answered') return 'ok'
      return reply.type === 'Error' || reply.type === 'ChatError' ? 'refused' : 'ok'
    } catch (error) {
      const refusal = refusalOf(error, message)
      if (!isUnanswered(message, current)) this.#send(refusal)
      if (refusal.code === 'internal')
        this.#context.onEvent({ type: 'failed', messageType: message.type, error, session: current })
      return refusal.code
    }
  }

  async #handle(data: Buffer, current: ClientSession): Promise<void> {
    const startedAt = performance.now()
    const json = parseJson(data)
    const parsed = parseClientMessage(json)
    const messageType = parsed.ok ? parsed.message.type : 'invalid'
    const { connectionId, userId } = current
    const facts = {
      requestId: `${connectionId}.${++this.#handled}`,
      connectionId,
      userId,
      type: messageType,
      tableId: parsed.ok && 'tableId' in parsed.message ? parsed.message.tableId : undefined,
    }
    await this.#context.scope(facts, async () => {
      let result: string
      if (parsed.ok) result = await this.#respond(parsed.message, current)
      else {
        const refusal = await this.#context.limit('invalid', current)
        this.#send(refusal ? limitedReply(parsed.id, refusal.retryAfterMs) : invalidReply(parsed, json))
        result = refusal ? 'rate_limited' : parsed.code
      }
      const seconds = (performance.now() - startedAt) / 1000
      this.#context.onEvent({ type: 'message', messageType, result, seconds, session: current })
    })
  }
}
