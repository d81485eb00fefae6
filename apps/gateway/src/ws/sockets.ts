/**
 * The life of all sockets of this instance: admission ▶ upgrade ▶ connection ▶ session ▶ close.
 * On close, in this order: the registry forgets the socket, its channels end, the store and the Event service hear of it.
 */
import type { IncomingMessage, Server } from 'node:http'
import type { TokenVerifier } from '@gw/auth'
import type { Connection, ConnectionClose, ConnectionRegistry, Heartbeat } from '@gw/connections'
import type { WebSocket } from 'ws'
import { type AdmissionLimits, createAdmission } from './admission.ts'
import type { ClientSession } from './client-session.ts'
import type { Dispatch } from './dispatch.ts'
import { drainInBatches } from './drain.ts'
import { createHeapTrim } from './heap-trim.ts'
import { OpenSocket, type SocketContext } from './open-socket.ts'
import type { Restore } from './restore.ts'
import type { SessionContext, SessionEvent } from './session.ts'
import type { Silence } from './silence.ts'
import { createTokenLives } from './token-life.ts'
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

export interface SocketsOptions extends Pick<SessionContext, 'limit' | 'scope' | 'onSent'> {
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
  /**
   * Tells every client to come back and closes its socket; resolves when all are gone and what they asked for is done, at the
   * latest after `timeoutMs`.
   */
  drain(timeoutMs: number): Promise<void>
  /** Takes no more upgrades. */
  close(): void
}

/** The contract's notion of a client's kind. */
function clientTypeOf(request: IncomingMessage): 'web' | 'mobile' {
  return /mobile/i.test(request.headers['user-agent'] ?? '') ? 'mobile' : 'web'
}

export function createSockets(options: SocketsOptions): Sockets {
  const { limits } = options
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
  let running = 0
  let whenDone: (() => void) | undefined
  const isDone = (): boolean => open.size === 0 && running === 0

  /** Goes on when its socket is gone: the client asks again elsewhere, and is told what came of it. */
  const dispatch: Dispatch = async (message, session) => {
    running += 1
    try {
      return await options.dispatch(message, session)
    } finally {
      running -= 1
      if (isDone()) whenDone?.()
    }
  }

  const tokenLives = createTokenLives({ graceMs: limits.tokenGraceMs })
  const heapTrim = createHeapTrim({ opened: () => lastSerial })
  const context: SocketContext = {
    ...options,
    dispatch,
    heartbeatMs: options.silence.heartbeatMs,
    authTimeoutMs: limits.authTimeoutMs,
    tokenLives,
    onSession({ id }, client) {
      sessions.set(id, { serial: sessions.get(id)?.serial ?? ++lastSerial, client })
    },
    onClosing: ({ id }) => void sessions.delete(id),
    onClosed({ id, connection }) {
      open.delete(id)
      closed.receivedBytes += connection.receivedBytes
      closed.sentBytes += connection.sentBytes
      if (isDone()) whenDone?.()
    },
  }

  function accept(webSocket: WebSocket, request: IncomingMessage, requestId: string): void {
    const address = options.addressOf(request)
    const place = admission.enter(address)
    const clientType = clientTypeOf(request)
    const socket = new OpenSocket({ socket: webSocket, requestId, address, clientType, place }, context)
    open.set(socket.id, socket.connection)
    options.heartbeat.add(socket.connection)
    socket.open(request)
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
        onSent: options.onSent,
      })
      if (!isDone()) {
        const { promise, resolve } = Promise.withResolvers<void>()
        whenDone = resolve
        const timer = setTimeout(resolve, Math.max(0, late - Date.now()))
        await promise
        clearTimeout(timer)
      }
      for (const connection of leaving) connection.terminate()
    },
    close() {
      stopListening()
      tokenLives.close()
      heapTrim.close()
    },
  }
}
