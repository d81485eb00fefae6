/**
 * The life of all sockets of this instance: admission ▶ upgrade ▶ connection ▶ session ▶ close.
 * On close, in this order: the registry forgets the socket, its channels end, the store and the Event service hear of it.
 */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, Server } from 'node:http'
import { extractSocketToken, type TokenVerifier } from '@gw/auth'
import {
  type Connection,
  type ConnectionClose,
  type ConnectionRegistry,
  createConnection,
  type Heartbeat,
} from '@gw/connections'
import { fromWebSocket } from '@gw/connections/ws'
import { closeCodes } from '@gw/protocol'
import type { WebSocket } from 'ws'
import { type AdmissionLimits, createAdmission } from './admission.ts'
import type { ClientSession } from './client-session.ts'
import type { Dispatch } from './dispatch.ts'
import { createSession, type Session, type SessionEvent, type SessionOptions } from './session.ts'
import { drainInBatches } from './drain.ts'
import type { Restore } from './restore.ts'
import type { Silence } from './silence.ts'
import { listenForUpgrades, type UpgradeRefusal } from './upgrade.ts'

/** The whole of an authenticated socket's life. */
export interface SocketLife extends Pick<ConnectionClose, 'code' | 'initiator'> {
  /** Of the handshake. */
  readonly requestId: string
  readonly durationMs: number
  /** Client messages that were handled. */
  readonly messages: number
  readonly receivedBytes: number
  readonly sentBytes: number
}

/** All sockets together; the bytes are those of closed ones too. */
export interface SocketTraffic {
  readonly queuedBytes: number
  readonly receivedBytes: number
  readonly sentBytes: number
}

export interface SocketsOptions extends Pick<SessionOptions, 'scope' | 'onSent'> {
  readonly server: Server
  readonly instanceId: string
  readonly verifier: TokenVerifier
  readonly dispatch: Dispatch
  readonly registry: ConnectionRegistry
  readonly heartbeat: Heartbeat
  readonly silence: Silence
  readonly addressOf: (request: IncomingMessage) => string
  readonly limits: AdmissionLimits & {
    readonly authTimeoutMs: number
    readonly tokenGraceMs: number
    readonly maxPayloadBytes: number
  }
  readonly allowedOrigins: readonly string[]
  readonly queryToken: boolean
  readonly isDraining: () => boolean
  /** An address with too many failed logins opens no socket for a while. */
  readonly isBlocked: (address: string) => boolean
  /** An authenticated socket, behind its Welcome. */
  readonly onReady: (session: ClientSession) => void
  readonly restore: Restore
  /** An authenticated socket is gone. */
  readonly onGone: (session: ClientSession, life: SocketLife) => void
  readonly onEvent: (event: SessionEvent) => void
  readonly onRefused: (reason: UpgradeRefusal) => void
  readonly onError: (error: unknown, connectionId: string) => void
}

export interface Sockets {
  /** Sockets, authenticated or not. */
  readonly count: number
  traffic(): SocketTraffic
  /** The authenticated session of a connection of this instance. */
  sessionOf(connectionId: string): ClientSession | undefined
  /** Authenticated sessions, oldest first, each with its serial; those after `serial`. */
  sessionsAfter(serial: number): Iterable<readonly [number, ClientSession]>
  /** Tells every client to come back and closes its socket; resolves when all are gone, at the latest after `timeoutMs`. */
  drain(timeoutMs: number): Promise<void>
  /** Takes no more upgrades. */
  close(): void
}

const maxInbound = 64
const maxInboundBytes = 262_144
const outbound = { softBytes: 262_144, hardBytes: 1_048_576, drainTimeoutMs: 10_000 }

/** The contract's notion of a client's kind. */
function clientTypeOf(request: IncomingMessage): 'web' | 'mobile' {
  return /mobile/i.test(request.headers['user-agent'] ?? '') ? 'mobile' : 'web'
}

export function createSockets(options: SocketsOptions): Sockets {
  const { registry, limits } = options
  const open = new Map<string, Connection>()
  const sessions = new Map<string, { readonly serial: number; readonly client: ClientSession }>()
  let lastSerial = 0
  const closed = { receivedBytes: 0, sentBytes: 0 }
  const admission = createAdmission({
    limits,
    addressOf: options.addressOf,
    isDraining: options.isDraining,
    isBlocked: options.isBlocked,
  })
  let whenEmpty: (() => void) | undefined

  function accept(socket: WebSocket, request: IncomingMessage, requestId: string): void {
    const address = options.addressOf(request)
    const place = admission.enter(address)
    const id = randomUUID()
    const openedAt = performance.now()
    let session: Session | undefined
    const connection = createConnection({
      id,
      socket: fromWebSocket(socket),
      maxInbound,
      maxInboundBytes,
      outbound,
      onMessage: (data) => session?.receive(data),
      // At once when the end begins, by its own reason: a peer that never answers the close would tell another.
      onClosing({ code, initiator }) {
        const messages = session?.handled ?? 0
        const gone = session?.end()
        sessions.delete(id)
        registry.unregister(id)
        options.heartbeat.remove(connection)
        options.silence.remove(connection)
        const { receivedBytes, sentBytes } = connection
        const life = { code, initiator, requestId, durationMs: performance.now() - openedAt }
        if (gone) options.onGone(gone, { ...life, messages, receivedBytes, sentBytes })
      },
      // Only now its place is free.
      onClose() {
        open.delete(id)
        closed.receivedBytes += connection.receivedBytes
        closed.sentBytes += connection.sentBytes
        place.leave()
        if (open.size === 0) whenEmpty?.()
      },
      onEvent(event) {
        if (event.type === 'error') options.onError(event.error, id)
        if (event.type === 'reading' && event.paused) options.onEvent({ type: 'paused' })
      },
    })
    function remember(client: ClientSession): void {
      sessions.set(id, { serial: sessions.get(id)?.serial ?? ++lastSerial, client })
      if (client.features.has('heartbeat')) options.silence.add(connection)
    }

    open.set(id, connection)
    options.heartbeat.add(connection)
    const token = extractSocketToken(request, { query: options.queryToken })
    session = createSession({
      connection,
      requestId,
      verifier: options.verifier,
      dispatch: options.dispatch,
      instanceId: options.instanceId,
      heartbeatMs: options.silence.heartbeatMs,
      address,
      clientType: clientTypeOf(request),
      authTimeoutMs: limits.authTimeoutMs,
      tokenGraceMs: limits.tokenGraceMs,
      ...(token.ok && { handshakeToken: token.token }),
      admit(client) {
        connection.identity = { userId: client.userId }
        if (!registry.register(connection).ok) return 'try_later'
        place.authenticated()
        remember(client)
        return undefined
      },
      onRenewed: remember,
      onReady: options.onReady,
      restore: options.restore,
      scope: options.scope,
      onSent: options.onSent,
      onEvent: options.onEvent,
    })
    if (!token.ok && token.reason === 'conflict') {
      const { code, reason } = closeCodes.auth_malformed
      connection.close(code, reason)
      return
    }
    session.open().catch((error: unknown) => {
      options.onError(error, id)
      const { code, reason } = closeCodes.internal
      connection.close(code, reason)
    })
  }

  const stopListening = listenForUpgrades({
    server: options.server,
    maxPayloadBytes: limits.maxPayloadBytes,
    allowedOrigins: options.allowedOrigins,
    admit: (request) => admission.refusalOf(request),
    onSocket: accept,
    onRefused: options.onRefused,
  })

  return {
    get count() {
      return open.size
    },
    traffic() {
      const sum = { ...closed, queuedBytes: 0 }
      for (const { bufferedBytes, receivedBytes, sentBytes } of open.values()) {
        sum.queuedBytes += bufferedBytes
        sum.receivedBytes += receivedBytes
        sum.sentBytes += sentBytes
      }
      return sum
    },
    sessionOf: (connectionId) => sessions.get(connectionId)?.client,
    *sessionsAfter(after) {
      for (const { serial, client } of sessions.values()) if (serial > after) yield [serial, client]
    },
    async drain(timeoutMs) {
      const late = Date.now() + timeoutMs
      const leaving = [...open.values()]
      // The last of them need time for the closing handshake.
      await drainInBatches({
        connections: leaving,
        windowMs: timeoutMs / 2,
        asked: (connection) => sessions.get(connection.id)?.client.features.has('drain') ?? false,
      })
      if (open.size > 0) {
        const { promise, resolve } = Promise.withResolvers<void>()
        whenEmpty = resolve
        const timer = setTimeout(resolve, Math.max(0, late - Date.now()))
        await promise
        clearTimeout(timer)
      }
      for (const connection of leaving) connection.terminate()
    },
    close: stopListening,
  }
}
