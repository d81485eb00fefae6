/** The public port's HTTP server: its deadlines, and the answer to what never becomes a request. */
import { createServer, type RequestListener, type Server } from 'node:http'
import type { Duplex } from 'node:stream'

// Slow or endless headers and bodies are cut; sockets that were upgraded have deadlines of their own.
const options = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
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
}

export function createHttpServer(listener: RequestListener): Server {
  const server = createServer(options, listener)
  server.on('clientError', refuseBrokenRequest)
  return server
}
