/**
 * The streamed reverse proxy: bytes pass through both ways with backpressure, nothing is parsed.
 *
 *   client ──request──▶ strip hop-by-hop and identity headers ──▶ set ours ──▶ backend
 *   client ◀─response── strip hop-by-hop headers ◀────────────────────────────── backend
 *
 * Hop-by-hop fields: RFC 9110 §7.6.1. A client that goes away aborts the upstream call; a deadline bounds each phase.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { Request, RequestHandler, Response } from 'express'
import { Agent, type Dispatcher, errors } from 'undici'
import { GatewayError } from '../errors.ts'
import { identityHeaders } from './identity-headers.ts'
import { sendError } from './send-error.ts'

const hopByHop = new Set([
  'connection',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** Names that only the gateway may say; `_` variants too, since some servers read `x_user_id` as `x-user-id`. */
const ours =
  /^(?:x[-_](?:user|gateway|internal|forwarded|real)[-_]|forwarded$|grpc[-_]|traceparent$|tracestate$)/i

export interface ProxyOptions {
  /** The backend's origin, e.g. `http://localhost:3002`. */
  readonly target: string
  /** Deadline of the whole exchange. */
  readonly timeoutMs: number
  readonly dispatcher: Dispatcher
  /** Extra headers of the moment: request id, trace context. */
  readonly headers?: (request: Request) => Readonly<Record<string, string>>
  readonly onResult?: (result: { readonly code: string; readonly seconds: number }) => void
}

/** Connections to one or more backends: kept alive, connect within 1 s, first byte and idle bounded. */
export function createProxyDispatcher(timeoutMs: number): Agent {
  return new Agent({
    connections: 128,
    connect: { timeout: 1000 },
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    maxHeaderSize: 16_384,
  })
}

function forwardedHeaders(
  request: Request,
  extra: Readonly<Record<string, string>>,
): Record<string, string | string[]> {
  // What the client's Connection header names is hop-by-hop too; ours are set afterwards, so it cannot name those away.
  const named = (request.headers.connection ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
  const headers: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(request.headers)) {
    if (value === undefined || hopByHop.has(name) || ours.test(name) || named.includes(name)) continue
    headers[name] = value
  }
  return { ...headers, ...(request.auth && identityHeaders(request.auth)), ...extra }
}

function failureOf(
  error: unknown,
  timedOut: boolean,
): { readonly error: GatewayError; readonly reason: string } {
  const options = { cause: error }
  if (timedOut || error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError)
    return {
      error: new GatewayError('timeout', 'Proxy error: the service did not answer in time', options),
      reason: 'upstream_timeout',
    }
  if (
    error instanceof errors.ConnectTimeoutError ||
    (error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED')
  )
    return {
      error: new GatewayError('unavailable', 'Proxy error: the service is not available', options),
      reason: 'upstream_unavailable',
    }
  return { error: new GatewayError('bad_gateway', 'Proxy error', options), reason: 'upstream_failed' }
}

function setResponseHeaders(response: Response, headers: IncomingHttpHeaders): void {
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined && !hopByHop.has(name)) response.setHeader(name, value)
}

/** A handler that relays the request, path and query unchanged, to `target`. */
export function createProxy(options: ProxyOptions): RequestHandler {
  const { target, timeoutMs, dispatcher } = options
  return (request, response) => {
    const startedAt = performance.now()
    const hasBody =
      request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined
    let upstream: Dispatcher.DispatchController | undefined
    let finished = false
    let timedOut = false
    const deadline = setTimeout(() => {
      timedOut = true
      if (upstream) upstream.abort(new Error('deadline'))
      else finish('timeout', new Error('deadline'))
    }, timeoutMs)
    const finish = (code: string, error?: unknown): void => {
      if (finished) return
      finished = true
      clearTimeout(deadline)
      options.onResult?.({ code, seconds: (performance.now() - startedAt) / 1000 })
      if (error === undefined || response.destroyed) return
      const failure = failureOf(error, timedOut)
      if (!response.headersSent) response.setHeader('X-Gateway-Reason', failure.reason)
      sendError(response, failure.error)
    }
    response.once('close', () => {
      if (response.writableFinished) return
      finish('client_closed')
      upstream?.abort(new Error('client went away'))
    })
    dispatcher.dispatch(
      {
        origin: target,
        path: request.originalUrl,
        method: request.method,
        headers: forwardedHeaders(request, options.headers?.(request) ?? {}),
        body: hasBody ? request : null,
      },
      {
        onRequestStart(controller) {
          upstream = controller
          if (finished) controller.abort(new Error('too late'))
        },
        onResponseStart(_controller, statusCode, headers) {
          setResponseHeaders(response, headers)
          response.writeHead(statusCode)
        },
        onResponseData(controller, chunk) {
          if (response.write(chunk)) return
          controller.pause()
          response.once('drain', () => controller.resume())
        },
        onResponseEnd() {
          finish(String(response.statusCode))
          response.end()
        },
        onResponseError(_controller, error) {
          finish(timedOut ? 'timeout' : 'failed', error)
        },
      },
    )
  }
}
