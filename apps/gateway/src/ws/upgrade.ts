/**
 * In front of the upgrade: what isn't a sane WebSocket handshake, or is one too many, gets an HTTP answer and a closed
 * socket. Never handed back to HTTP parsing: a second request behind a refused one is not served (request smuggling).
 */
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { requestIdOf } from '@gw/observability/http'
import { wsPath } from '@gw/protocol'
import { type WebSocket, WebSocketServer } from 'ws'
import type { AdmissionRefusal } from './admission.ts'

/** Why a handshake was refused, for metrics. */
export type UpgradeRefusal = 'path' | 'method' | 'handshake' | 'origin' | AdmissionRefusal

export interface UpgradeOptions {
  readonly server: Server
  readonly maxPayloadBytes: number
  readonly allowedOrigins: readonly string[]
  /** The admission's own refusal, e.g. too many sockets; undefined lets it in. */
  readonly admit: (request: IncomingMessage) => AdmissionRefusal | undefined
  /** `requestId` is the client's `X-Request-Id`, or a new one; it is in the answer's headers. */
  readonly onSocket: (socket: WebSocket, request: IncomingMessage, requestId: string) => void
  readonly onRefused: (reason: UpgradeRefusal, request: IncomingMessage) => void
}

const statusOf: Readonly<Record<UpgradeRefusal, readonly [number, string]>> = {
  path: [404, 'Not Found'],
  method: [405, 'Method Not Allowed'],
  handshake: [400, 'Bad Request'],
  origin: [403, 'Forbidden'],
  address_blocked: [429, 'Too Many Requests'],
  draining: [503, 'Service Unavailable'],
  capacity: [503, 'Service Unavailable'],
  unauthenticated_capacity: [503, 'Service Unavailable'],
  address_capacity: [503, 'Service Unavailable'],
  pace: [503, 'Service Unavailable'],
  address_pace: [503, 'Service Unavailable'],
}

/** Fields that say what would be accepted, or when. */
const hintOf: Readonly<Record<number, string>> = {
  400: 'Sec-WebSocket-Version: 13\r\n',
  429: 'Retry-After: 10\r\n',
  503: 'Retry-After: 2\r\n',
}

function refuse(socket: Duplex, reason: UpgradeRefusal, requestId: string): void {
  const [status, text] = statusOf[reason]
  const code = reason === 'path' ? 'not_found' : reason
  const body = JSON.stringify({ code, message: text, requestId })
  socket.end(
    `HTTP/1.1 ${status} ${text}\r\nConnection: close\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nX-Request-Id: ${requestId}\r\n` +
      `X-Gateway-Reason: ${reason}\r\n${hintOf[status] ?? ''}\r\n${body}`,
  )
  // The peer may never read or close: the socket has no timeout of its own any more.
  const lingering = setTimeout(() => socket.destroy(), 1000)
  socket.once('close', () => clearTimeout(lingering))
  socket.resume()
}

function isSaneHandshake(request: IncomingMessage): boolean {
  const { headers } = request
  return (
    request.httpVersion === '1.1' &&
    headers.upgrade?.toLowerCase() === 'websocket' &&
    headers['content-length'] === undefined &&
    headers['transfer-encoding'] === undefined &&
    headers['sec-websocket-version'] === '13' &&
    /^[A-Za-z0-9+/]{22}==$/.test(headers['sec-websocket-key'] ?? '')
  )
}

/** Browsers send an Origin: it must be allowed, or be the gateway's own. Other clients send none. */
function isAllowedOrigin(request: IncomingMessage, allowed: readonly string[]): boolean {
  const { origin, host } = request.headers
  if (origin === undefined || allowed.includes('*') || allowed.includes(origin)) return true
  return URL.canParse(origin) && /^https?:$/.test(new URL(origin).protocol) && new URL(origin).host === host
}

function destroyIt(this: Duplex): void {
  this.destroy()
}

/** Listens for upgrades on `server`. Returns a function that stops it. */
export function listenForUpgrades(options: UpgradeOptions): () => void {
  const webSockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: options.maxPayloadBytes,
    maxFragments: 32,
    maxBufferedChunks: 1024,
    // A token may come as the subprotocol `bearer.<token>`, beside another one: that is echoed, the token never.
    handleProtocols: (protocols) => [...protocols].find((name) => !name.startsWith('bearer.')) ?? false,
  })

  const requestIds = new WeakMap<IncomingMessage, string>()
  webSockets.on('headers', (headers, request) => {
    headers.push(`X-Request-Id: ${requestIds.get(request)}`)
  })

  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    // Without a listener a reset during the handshake would end the process. No closure: it would keep the request alive.
    socket.on('error', destroyIt)
    const requestId = requestIdOf(request.headers['x-request-id'])
    requestIds.set(request, requestId)
    const path = request.url?.split('?', 1)[0]
    const reason: UpgradeRefusal | undefined =
      path !== wsPath
        ? 'path'
        : request.method !== 'GET'
          ? 'method'
          : !isSaneHandshake(request)
            ? 'handshake'
            : !isAllowedOrigin(request, options.allowedOrigins)
              ? 'origin'
              : options.admit(request)
    if (reason !== undefined) {
      options.onRefused(reason, request)
      refuse(socket, reason, requestId)
      return
    }
    webSockets.handleUpgrade(request, socket, head, (webSocket) =>
      options.onSocket(webSocket, request, requestId),
    )
  }

  options.server.on('upgrade', onUpgrade)
  return () => {
    options.server.off('upgrade', onUpgrade)
    webSockets.close()
  }
}
