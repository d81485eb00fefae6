/** One Express middleware: request id, span, context, access line and duration of each request. */
import { randomUUID } from 'node:crypto'
import { type Attributes, SpanStatusCode, type SpanContext } from '@opentelemetry/api'
import type { NextFunction, Request, RequestHandler, Response } from 'express'
import { type RequestContext, runInScope } from './context.ts'
import { requireOption } from './errors.ts'
import type { LogContext, Logger } from './logger.ts'
import type { Metrics } from './metrics.ts'
import { methodLabel, routeLabeller, unmatchedRoute } from './route-label.ts'
import { extractTraceparent, isKept, isReal, type SpanOptions, startSpan } from './spans.ts'

export { currentContext, type RequestContext, runWithContext, setContext } from './context.ts'
export { unmatchedRoute } from './route-label.ts'

/** Options of `requestContext`. */
export interface RequestContextOptions {
  readonly logger: Pick<Logger, 'info'>
  readonly metrics: Pick<Metrics, 'httpRequestDuration' | 'httpRequestsInFlight'>
  /** Read and returned. Default `x-request-id`. */
  readonly header?: string
  /** How it is returned. Default `response.setHeader`. */
  readonly setHeader?: (response: Response, name: string, value: string) => void
  /**
   * Default true: a sane request id is taken over, and the span joins an incoming `traceparent`. False, where the
   * public can reach the port: ids are always made here, and a foreign trace is linked, so it can't force sampling.
   */
  readonly trustIncoming?: boolean
  /** Distinct route labels handed out before `overflow`. Default 200. */
  readonly maxRoutes?: number
  /** Milliseconds, monotonic. Default `performance.now`. */
  readonly now?: () => number
}

const saneId = /^[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}$/
/** `given` if it is a sane id (a header of a caller), else a new one. */
export function requestIdOf(given: unknown): string {
  return typeof given === 'string' && saneId.test(given) ? given : randomUUID()
}

/** A client that went away before its answer (the status is never sent; nginx made the number a habit). */
const clientClosedStatus = 499

/**
 * Mount it first. Runs everything behind it inside a request context and a server span; when the response is over it
 * writes one `http_request` line and observes `http_request_duration_seconds`. The route label is the Express pattern
 * or `res.locals.route`, and `unmatched` where no route took the request. Throws `invalid_option`.
 */
export function requestContext(options: RequestContextOptions): RequestHandler {
  const { logger, metrics, header = 'x-request-id', trustIncoming = true } = options
  const { maxRoutes = 200, now = () => performance.now() } = options
  const { setHeader = (response, name, value) => response.setHeader(name, value) } = options
  requireOption(/^[A-Za-z0-9-]+$/.test(header), 'header must be a header name')
  requireOption(maxRoutes > 0, 'maxRoutes must be above 0')
  const routeOf = routeLabeller(maxRoutes)
  const lowerHeader = header.toLowerCase()

  return (request: Request, response: Response, next: NextFunction): void => {
    const startedAt = now()
    const method = methodLabel(request.method)
    const { traceparent } = request.headers
    const incoming = extractTraceparent(traceparent)
    const context: RequestContext & { requestId: string } = {
      requestId: requestIdOf(trustIncoming ? request.headers[lowerHeader] : undefined),
    }
    if (trustIncoming && incoming && typeof traceparent === 'string') context.traceparent = traceparent
    setHeader(response, header, context.requestId)
    // Taken now: the request has no socket any more when it is over.
    const { socket } = request
    const bytesBefore = socket.bytesWritten
    const server = startServerSpan(request, { method, incoming, trustIncoming })
    metrics.httpRequestsInFlight.inc()

    response.on('close', () => {
      metrics.httpRequestsInFlight.dec()
      const aborted = !response.writableFinished
      const status = aborted && !response.headersSent ? clientClosedStatus : response.statusCode
      const route = routeOf(request, response)
      const durationMs = now() - startedAt
      server.end(route, status)
      // An event handler may run in anybody's asynchronous context: what it says of the request is given, all of it.
      const span = server.ids
      metrics.httpRequestDuration.observeFor(span, { method, route, status }, durationMs / 1000)
      const bytes = socket.bytesWritten - bytesBefore
      const fields = {
        requestId: context.requestId,
        userId: context.userId,
        connectionId: context.connectionId,
        traceId: span?.traceId,
        spanId: span?.spanId,
        method,
        route,
        status,
        durationMs: Math.round(durationMs * 1000) / 1000,
        bytes,
        aborted: aborted || undefined,
      }
      logger.info('http_request', kept(fields))
    })
    runInScope(context, server.context, next)
  }
}

/** A line waits for its time to be written: made right here, it would hold the request and all that hangs on it until then. */
function kept(fields: LogContext): () => LogContext {
  return () => fields
}

interface ServerSpan {
  readonly context: ReturnType<typeof startSpan>['context']
  /** Undefined without an SDK. */
  readonly ids: SpanContext | undefined
  readonly end: (route: string, status: number) => void
}

interface Arrival {
  readonly method: string
  readonly incoming: SpanContext | undefined
  readonly trustIncoming: boolean
}

/** A span by the HTTP semantic conventions (1.23 and later), without the query: it may hold a token. */
function startServerSpan(request: Request, { method, incoming, trustIncoming }: Arrival): ServerSpan {
  const { span, context } = startSpan(method, incoming ? below(incoming, trustIncoming) : newTrace)
  // Neither is what it was when the request is over.
  const { path, protocol } = request
  const ids = span.spanContext()
  return {
    context,
    ids: isReal(ids) ? ids : undefined,
    end: (route, status) => {
      if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR })
      if (isKept(span)) {
        const attributes: Attributes = {
          'http.request.method': method === 'OTHER' ? '_OTHER' : method,
          'url.path': path,
          'url.scheme': protocol,
          'network.protocol.version': request.httpVersion,
          'http.response.status_code': status,
        }
        if (status >= 500) attributes['error.type'] = String(status)
        if (route !== unmatchedRoute) {
          attributes['http.route'] = route
          span.updateName(`${method} ${route}`)
        }
        span.setAttributes(attributes)
      }
      span.end()
    },
  }
}

const newTrace: SpanOptions = { kind: 'server', parent: 'root' }

function below(incoming: SpanContext, isTrusted: boolean): SpanOptions {
  return isTrusted ? { kind: 'server', parent: incoming } : { ...newTrace, links: [incoming] }
}
