/** One Express middleware: request id, span, context, access line and duration of each request. */
import { randomUUID } from 'node:crypto'
import { type Attributes, type Span, type SpanContext, SpanStatusCode } from '@opentelemetry/api'
import type { NextFunction, Request, RequestHandler, Response } from 'express'
import { type RequestContext, runInScope } from './context.ts'
import { requireOption } from './errors.ts'
import type { LineFields, Logger } from './logger.ts'
import type { BoundTracedHistogram, Metrics } from './metrics.ts'
import { methodLabel, routeLabeller, unmatchedRoute } from './route-label.ts'
import { extractTraceparent, isKept, isReal, type SpanOptions, startSpan } from './spans.ts'

export { currentContext, type RequestContext, runWithContext, setContext } from './context.ts'
export { unmatchedRoute } from './route-label.ts'

/** Options of `requestContext`. */
export interface RequestContextOptions {
  readonly logger: Pick<Logger, 'lines'>
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

/** Of the access line, in this order. */
const lineFields: LineFields = {
  requestId: 'text',
  userId: 'text',
  connectionId: 'text',
  traceId: 'id',
  spanId: 'id',
  method: 'id',
  route: 'text',
  status: 'id',
  durationMs: 'id',
  bytes: 'id',
  aborted: 'id',
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
  const durationOf = lastOf(metrics)
  const writeLine = logger.lines('http_request', lineFields)

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
    const scheme = schemeOf(request)
    const { span, context: spans } = startSpan(method, incoming ? below(incoming, trustIncoming) : newTrace)
    const ids = realIdsOf(span)
    metrics.httpRequestsInFlight.inc()

    response.on('close', () => {
      metrics.httpRequestsInFlight.dec()
      const aborted = !response.writableFinished
      const status = aborted && !response.headersSent ? clientClosedStatus : response.statusCode
      const route = routeOf(request, response)
      const durationMs = now() - startedAt
      endServerSpan(span, { request, method, scheme, route, status })
      // An event handler may run in anybody's asynchronous context: what it says of the request is given, all of it.
      durationOf(method, route, status).observeFor(ids, durationMs / 1000)
      const bytes = socket.bytesWritten - bytesBefore
      writeLine([
        context.requestId,
        context.userId,
        context.connectionId,
        ids?.traceId,
        ids?.spanId,
        method,
        route,
        status,
        Math.round(durationMs * 1000) / 1000,
        bytes,
        aborted || undefined,
      ])
    })
    runInScope(context, spans, next)
  }
}

/** The series of a request: most are of the same as the one before, or it is looked for. */
function lastOf({ httpRequestDuration }: Pick<Metrics, 'httpRequestDuration'>) {
  let last:
    | { readonly series: BoundTracedHistogram; readonly labels: readonly [string, string, number] }
    | undefined
  return (...labels: [method: string, route: string, status: number]): BoundTracedHistogram => {
    const [method, route, status] = labels
    if (last?.labels[2] === status && last.labels[1] === route && last.labels[0] === method)
      return last.series
    last = { labels, series: httpRequestDuration.of({ method, route, status }) }
    return last.series
  }
}

/** Undefined without an SDK. */
function realIdsOf(span: Span): SpanContext | undefined {
  const ids = span.spanContext()
  return isReal(ids) ? ids : undefined
}

/** As Express has it, which asks the socket for its address to know whether a proxy's word for it counts. */
function schemeOf(request: Request): string {
  if (request.headers['x-forwarded-proto'] !== undefined) return request.protocol
  return 'encrypted' in request.socket ? 'https' : 'http'
}

interface Served {
  readonly request: Request
  readonly method: string
  readonly scheme: string
  readonly route: string
  readonly status: number
}

/** By the HTTP semantic conventions (1.23 and later). */
function endServerSpan(span: Span, { request, method, scheme, route, status }: Served): void {
  if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR })
  if (isKept(span)) {
    const attributes: Attributes = {
      'http.request.method': method === 'OTHER' ? '_OTHER' : method,
      'url.path': pathOf(request),
      'url.scheme': scheme,
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
}

/** Without the query: it may hold a token. Of the whole target: `request.path` lacks the part that a mount path takes. */
function pathOf(request: Request): string {
  const { originalUrl } = request
  if (!originalUrl.startsWith('/')) return request.path
  const queryAt = originalUrl.indexOf('?')
  return queryAt < 0 ? originalUrl : originalUrl.slice(0, queryAt)
}

const newTrace: SpanOptions = { kind: 'server', parent: 'root' }

function below(incoming: SpanContext, isTrusted: boolean): SpanOptions {
  return isTrusted ? { kind: 'server', parent: incoming } : { ...newTrace, links: [incoming] }
}
