/** The public port's HTTP server: its deadlines and bounds, and the answer to what never becomes a request. */
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { Server as NetServer, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { MessageClasses } from './express-messages.ts'

export interface HttpServerOptions {
  /** From the connection, or the end of the answer before, to the last header. Default 5000. */
  readonly headersTimeoutMs?: number
  /** From the first byte of a request to its last. Default 30 000. */
  readonly requestTimeoutMs?: number
  /** An answer that was ended, and of which its client takes nothing for so long (at most twice), is cut off. Default 30 000. */
  readonly unreadTimeoutMs?: number
  /** TCP connections at once, sockets among them; more are closed as they come. Default: no bound. */
  readonly maxConnections?: number
  /** What requests and answers are made of. Default: Node's own. */
  readonly messages?: MessageClasses
}

const fixed = {
  // How late a timeout is noticed; Node's default is 30 s.
  connectionsCheckingInterval: 1000,
  keepAliveTimeout: 65_000,
  maxHeaderSize: 16_384,
  requireHostHeader: true,
}

const statusOf: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

/** In the shape of every other error; the connection ends, so nothing behind it is served. */
function refuseBrokenRequest(error: Error & { readonly code?: string }, socket: Duplex): void {
  if (socket.destroyed || !socket.writable) return
  const status = statusOf[error.code ?? ''] ?? '400 Bad Request'
  const message = status.slice(4)
  const body = JSON.stringify({ error: message, code: 'invalid_request', message })
  socket.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
  // A peer that never reads or closes must not keep the place.
  const lingering = setTimeout(() => socket.destroy(), 1000)
  socket.once('close', () => clearTimeout(lingering))
}

/**
 * Called when nothing came or went on a connection for a while. An answer that is still made has its own deadline; one that
 * was made stays in memory until its client takes it.
 */
function endUnread(this: ServerResponse, socket: Socket): void {
  if (this.writableEnded) socket.destroy()
  // Its end may still come, and that alone would not start the clock again.
  else socket.setTimeout(socket.timeout ?? 0)
}

/** A server with deadlines for headers and bodies; sockets that were upgraded have deadlines of their own. */
export function createHttpServer(listener: RequestListener, options: HttpServerOptions = {}): Server {
  const { headersTimeoutMs: headersTimeout = 5000, requestTimeoutMs: requestTimeout = 30_000 } = options
  const { unreadTimeoutMs = 30_000, messages } = options
  const server = createServer(
    { ...fixed, ...messages, headersTimeout, requestTimeout },
    (request, response) => {
      response.setTimeout(unreadTimeoutMs).on('timeout', endUnread)
      listener(request, response)
    },
  )
  if (options.maxConnections !== undefined) server.maxConnections = options.maxConnections
  server.on('clientError', refuseBrokenRequest)
  return server
}

export interface CloseOptions {
  /** How long a connection that rests is kept for a request that may be on its way. */
  readonly lingerMs: number
  /** Then connections are cut off, whatever they are at. */
  readonly timeoutMs: number
}

/**
 * Takes no connection any more; resolves when all are gone. What still comes on one that is there is answered, with
 * `Connection: close`: a client that was cut off instead could not know whether its request was done (RFC 9112 §9.5).
 */
export async function closeHttpServer(server: Server, { lingerMs, timeoutMs }: CloseOptions): Promise<void> {
  server.prependListener('request', (_request, response: ServerResponse) => {
    response.shouldKeepAlive = false
  })
  const rest = setInterval(() => server.closeIdleConnections(), lingerMs)
  const late = setTimeout(() => server.closeAllConnections(), timeoutMs)
  const { promise, resolve } = Promise.withResolvers<void>()
  // Not the HTTP server's own, which ends connections that rest at once.
  NetServer.prototype.close.call(server, () => resolve())
  await promise
  // Its clock of deadlines still goes.
  server.close()
  clearInterval(rest)
  clearTimeout(late)
}
