/**
 * The streamed reverse proxy: bytes pass through both ways with backpressure, nothing is parsed.
 *
 *   client ──request──▶ caps ──▶ strip hop-by-hop and identity headers ──▶ set ours ──▶ guard ──▶ backend
 *   client ◀─response── strip hop-by-hop headers ◀──────────────────────────────────────────────── backend
 *
 * A client that goes away aborts the upstream call; a deadline bounds each phase. Only what says that the backend is ill
 * counts against it: a client that sends or reads slowly is cut off, and no breaker opens for it.
 */
import type { Request, RequestHandler, Response } from 'express'
import { type Dispatcher, errors } from 'undici'
import { GatewayError } from '../errors.ts'
import type { BackendGuard } from '../grpc/backend-guard.ts'
import { relayHead } from './answer-fields.ts'
import { bodyPassed } from './body-memory.ts'
import { requestHeaders } from './forwarded-headers.ts'
import { createIdentityHeaders } from './identity-headers.ts'
import type { ProxyDispatcher } from './proxy-dispatcher.ts'
import { requestBudgetMs } from './request-budget.ts'
import { sendError } from './send-error.ts'

export interface ProxyResult {
  /** HTTP status of the backend, or `timeout`, `failed`, `client_closed`, `refused`. */
  readonly code: string
  readonly seconds: number
}

export interface ProxyOptions {
  /** The backend's origin, e.g. `http://localhost:3002`. */
  readonly target: string
  /** Deadline of the whole exchange; a client can shorten it (`X-Request-Timeout-Ms`). */
  readonly timeoutMs: number
  readonly dispatcher: ProxyDispatcher
  /** Concurrency cap, breaker, and one retry of a GET that nobody took. */
  readonly guard: BackendGuard
  /** Larger request bodies are refused with 413. Default 10 MiB. */
  readonly maxBodyBytes?: number
  /** Exchanges of one user at once: nobody holds all connections by reading slowly. Default 16. */
  readonly maxPerUser?: number
  /** Extra headers of the moment: request id, trace context. */
  readonly headers?: (request: Request) => Readonly<Record<string, string>>
  /** Runs `send`, which makes the headers and calls the backend: for a span around both. */
  readonly around?: (request: Request, send: () => Promise<string>) => Promise<string>
  readonly onResult?: (result: ProxyResult, request: Request) => void
}

const prefix = 'Proxy error'

/** Of an answer, for its client. Four reads of a socket: to stop and go on after each would cost more than it saves. */
const mostWaitingBytes = 262_144

function failureOf(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (error instanceof errors.ConnectTimeoutError || code === 'ECONNREFUSED' || code === 'ENOTFOUND')
    return new GatewayError('unavailable', `${prefix}: the service is not available`, {
      cause: error,
      reason: 'upstream_unavailable',
    })
  return new GatewayError('bad_gateway', prefix, { cause: error, reason: 'upstream_failed' })
}

function tooLate(cause: unknown): GatewayError {
  const message = `${prefix}: the service did not answer in time`
  return new GatewayError('timeout', message, { cause, reason: 'upstream_timeout' })
}

/** The client's part of the exchange took too long, or the client gave too little time. */
function cutShort(reason: 'client_too_slow' | 'budget_spent'): GatewayError {
  if (reason === 'budget_spent') return new GatewayError('timeout', undefined, { reason })
  return new GatewayError('invalid_request', 'The request body did not come in time', { reason })
}

interface Exchange {
  readonly request: Request
  readonly response: Response
  readonly deadlineAtMs: number
  readonly hasBody: boolean
  readonly headers: Record<string, string | string[]>
}

/** One try; resolves with the code for metrics when the exchange is over, rejects when it failed. */
function relay({ request, response, ...exchange }: Exchange, options: ProxyOptions): Promise<string> {
  // It left while it was judged, or while the second try waited.
  if (response.destroyed) return Promise.resolve('client_closed')
  const { target, dispatcher, timeoutMs, maxBodyBytes = 10_485_760 } = options
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  let upstream: Dispatcher.DispatchController | undefined
  let isOver = false
  /** Why the upstream call is to end before it is over. An Error costs its stack: none is made for what goes well. */
  let ended: Error | undefined
  let answering = false
  const startedAt = performance.now()
  const timer = setTimeout(() => end(lateness()), exchange.deadlineAtMs - startedAt)

  function lateness(): GatewayError {
    const isHasty = exchange.deadlineAtMs - startedAt < timeoutMs * 0.9
    // It never had a connection: the backend has not heard of it.
    if (upstream === undefined)
      return isHasty
        ? cutShort('budget_spent')
        : new GatewayError('unavailable', undefined, { reason: 'upstream_busy' })
    // A body that is paused waits for the backend.
    if (exchange.hasBody && !request.complete && request.readableFlowing !== false)
      return cutShort('client_too_slow')
    // Headers came: what is late is the rest, and the client may be the one who keeps it.
    if (answering) return new GatewayError('timeout')
    return isHasty ? cutShort('budget_spent') : tooLate(new Error('deadline'))
  }

  function settle(): boolean {
    if (isOver) return false
    isOver = true
    clearTimeout(timer)
    response.off('close', onClose)
    return true
  }

  function end(error: GatewayError): void {
    if (!settle()) return
    ended = error
    reject(error)
    upstream?.abort(error)
  }

  function onClose(): void {
    if (!settle()) return
    ended = new Error('the client went away')
    resolve('client_closed')
    upstream?.abort(ended)
  }

  response.on('close', onClose)
  if (exchange.hasBody) {
    let received = 0
    request.on('data', (chunk: Buffer) => {
      bodyPassed(chunk.length)
      received += chunk.length
      if (received > maxBodyBytes) end(new GatewayError('payload_too_large'))
    })
    // Who listens for data sets the flow going: the dispatcher pauses and resumes it from here on.
    request.pause()
  }
  dispatcher.dispatch(
    {
      origin: target,
      path: request.originalUrl,
      method: request.method,
      headers: exchange.headers,
      body: exchange.hasBody ? request : null,
    },
    {
      onRequestStart(controller) {
        upstream = controller
        if (ended) controller.abort(ended)
      },
      onResponseStart(_controller, statusCode, headers) {
        // Early hints and the like: the answer is still to come.
        if (statusCode < 200) return
        answering = true
        // What is left of the body will not be read.
        if (exchange.hasBody && !request.complete) response.setHeader('Connection', 'close')
        relayHead(response, statusCode, headers)
      },
      onResponseData(controller, chunk) {
        const done = (error?: Error | null): void => {
          if (!error) dispatcher.release(chunk)
        }
        if (response.write(chunk, done) || response.writableLength < mostWaitingBytes) return
        controller.pause()
        response.once('drain', () => controller.resume())
      },
      onResponseEnd() {
        if (!settle()) return
        response.end()
        resolve(String(response.statusCode))
      },
      onResponseError(_controller, error) {
        const isLate = error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError
        end(isLate ? lateness() : failureOf(error))
      },
    },
  )
  return promise
}

function codeOf(error: unknown): string {
  if (!(error instanceof GatewayError)) return 'failed'
  if (error.code === 'timeout') return 'timeout'
  return error.reason === 'breaker_open' || error.reason === 'upstream_busy' ? 'refused' : 'failed'
}

/** A handler that relays the request, path and query unchanged, to `target`. */
export function createProxy(options: ProxyOptions): RequestHandler {
  const { guard, timeoutMs, maxBodyBytes = 10_485_760, maxPerUser = 16 } = options
  const perUser = new Map<string, number>()
  const identityHeaders = createIdentityHeaders()

  function leave(user: string): void {
    const left = (perUser.get(user) ?? 1) - 1
    if (left === 0) perUser.delete(user)
    else perUser.set(user, left)
  }

  async function exchange(request: Request, response: Response, user: string): Promise<void> {
    const startedAt = performance.now()
    const length = request.headers['content-length']
    const hasBody = length !== undefined || request.headers['transfer-encoding'] !== undefined
    const running = perUser.get(user) ?? 0
    if (hasBody && Number(length) > maxBodyBytes) {
      response.setHeader('Connection', 'close')
      return sendError(response, new GatewayError('payload_too_large'))
    }
    if (running >= maxPerUser)
      return sendError(response, new GatewayError('rate_limited', 'Too many requests at once'))
    perUser.set(user, running + 1)
    const deadlineAtMs = startedAt + requestBudgetMs(request, timeoutMs)
    const done = (code: string): void =>
      options.onResult?.({ code, seconds: (performance.now() - startedAt) / 1000 }, request)
    const send = (): Promise<string> => {
      const headers = requestHeaders(request, {
        ...(request.auth && identityHeaders(request.auth)),
        ...options.headers?.(request),
      })
      const idempotent = !hasBody && (request.method === 'GET' || request.method === 'HEAD')
      const run = (): Promise<string> => relay({ request, response, deadlineAtMs, hasBody, headers }, options)
      return guard.call({
        idempotent,
        deadlineAtMs,
        run,
        mayRepeat: () => !response.headersSent,
        isSilent: (code) => code === 'client_closed',
      })
    }
    try {
      done(await (options.around ? options.around(request, send) : send()))
    } catch (error) {
      done(codeOf(error))
      // What is left of the body will not be read: the connection cannot go on.
      if (hasBody && !request.complete && !response.headersSent) response.setHeader('Connection', 'close')
      sendError(response, error)
    } finally {
      // An answer that its client has not taken is memory still, and keeps the place.
      if (response.writableLength === 0 || response.destroyed) leave(user)
      else response.once('close', () => leave(user))
    }
  }

  return (request, response) => exchange(request, response, request.auth?.subject ?? '')
}
