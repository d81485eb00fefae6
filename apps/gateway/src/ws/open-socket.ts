/** One socket from its upgrade to its end: the connection's owner, and what its session sees of it. */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { extractSocketToken } from '@gw/auth'
import {
  type Connection,
  type ConnectionClose,
  type ConnectionEvent,
  type ConnectionOptions,
  type ConnectionRegistry,
  createConnection,
  type Heartbeat,
  type SocketLike,
} from '@gw/connections'
import { fromWebSocket } from '@gw/connections/ws'
import { type CloseName, closeCodes } from '@gw/protocol'
import type { WebSocket } from 'ws'
import type { Place } from './admission.ts'
import type { ClientSession } from './client-session.ts'
import { createSession, type Session, type SessionContext, type SessionSocket } from './session.ts'
import type { Silence } from './silence.ts'
import type { SocketLife } from './sockets.ts'

/** What all sockets of an instance share. */
export interface SocketContext extends SessionContext {
  readonly registry: ConnectionRegistry
  readonly heartbeat: Heartbeat
  readonly silence: Silence
  readonly queryToken: boolean
  /** An authenticated socket is gone. */
  readonly onGone: (session: ClientSession, life: SocketLife) => void
  readonly onError: (error: unknown, connectionId: string) => void
  /** It has a session, perhaps with a newer token. */
  readonly onSession: (socket: OpenSocket, session: ClientSession) => void
  /** Its end has begun. */
  readonly onClosing: (socket: OpenSocket) => void
  /** It is gone. */
  readonly onClosed: (socket: OpenSocket) => void
}

export interface OpenSocketOptions {
  readonly socket: WebSocket
  readonly requestId: string
  readonly address: string
  readonly clientType: 'web' | 'mobile'
  readonly place: Place
}

const outbound = { softBytes: 262_144, hardBytes: 1_048_576, drainTimeoutMs: 10_000 }

/** One of thousands: an object of few fields instead of closures, and nothing of the request stays. */
export class OpenSocket implements ConnectionOptions, SessionSocket {
  readonly id = randomUUID()
  readonly socket: SocketLike
  readonly requestId: string
  readonly address: string
  readonly clientType: 'web' | 'mobile'
  readonly connection: Connection
  readonly #context: SocketContext
  readonly #place: Place
  readonly #openedAt = performance.now()
  readonly #session: Session

  constructor({ socket, requestId, address, clientType, place }: OpenSocketOptions, context: SocketContext) {
    this.socket = fromWebSocket(socket)
    this.requestId = requestId
    this.address = address
    this.clientType = clientType
    this.#context = context
    this.#place = place
    this.connection = createConnection(this)
    this.#session = createSession(this, context)
  }

  get outbound(): typeof outbound {
    return outbound
  }

  /** Takes the token that came with the handshake, if there is one. */
  open(request: IncomingMessage): void {
    const token = extractSocketToken(request, { query: this.#context.queryToken })
    if (!token.ok && token.reason === 'conflict') return this.#close('auth_malformed')
    if (!token.ok) return
    this.#session.open(token.token).catch((error: unknown) => {
      this.#context.onError(error, this.id)
      this.#close('internal')
    })
  }

  admit(session: ClientSession): CloseName | undefined {
    this.connection.identity = { userId: session.userId }
    if (!this.#context.registry.register(this.connection).ok) return 'try_later'
    this.#place.authenticated()
    this.renewed(session)
    return undefined
  }

  renewed(session: ClientSession): void {
    this.#context.onSession(this, session)
    if (session.features.has('heartbeat')) this.#context.silence.add(this.connection)
  }

  onMessage(data: Buffer): Promise<void> {
    return this.#session.receive(data)
  }

  /** At once when the end begins, by its own reason: a peer that never answers the close would tell another. */
  onClosing({ code, initiator }: ConnectionClose): void {
    const { registry, heartbeat, silence, onClosing, onGone } = this.#context
    const { connection, requestId } = this
    const { receivedBytes, sentBytes } = connection
    const { handled: messages } = this.#session
    const gone = this.#session.end()
    onClosing(this)
    registry.unregister(this.id)
    heartbeat.remove(connection)
    silence.remove(connection)
    const life = { code, initiator, requestId, durationMs: performance.now() - this.#openedAt }
    if (gone) onGone(gone, { ...life, messages, receivedBytes, sentBytes })
  }

  /** Only now its place is free. */
  onClose(): void {
    this.#place.leave()
    this.#context.onClosed(this)
  }

  onEvent(event: ConnectionEvent): void {
    if (event.type === 'error') this.#context.onError(event.error, this.id)
    if (event.type === 'reading' && event.paused) this.#context.onEvent({ type: 'paused' })
  }

  #close(name: CloseName): void {
    const { code, reason } = closeCodes[name]
    this.connection.close(code, reason)
  }
}
