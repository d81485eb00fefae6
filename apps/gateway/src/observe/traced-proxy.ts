/** The client span of a proxied request; what it sends on carries it. */
import { isKept, runIn, startSpan } from '@gw/observability/tracing'
import { type Span, SpanStatusCode, trace } from '@opentelemetry/api'
import type { RequestHandler } from 'express'

/**
 * `proxy` inside a span that ends with the response. In a trace that isn't kept a span is made when the call has failed, by
 * the response's end: until then all goes by the server span's ids anyway.
 */
export function traceProxy(target: string, proxy: RequestHandler): RequestHandler {
  const { hostname, port, protocol } = new URL(target)
  const address = {
    'server.address': hostname,
    'server.port': Number(port) || (protocol === 'https:' ? 443 : 80),
  }

  function finish(span: Span, method: string, statusCode: number): void {
    // A client span: what the server refused is its failure too.
    if (statusCode >= 400) span.setStatus({ code: SpanStatusCode.ERROR })
    if (isKept(span))
      span.setAttributes({
        ...address,
        'http.request.method': method,
        'http.response.status_code': statusCode,
        ...(statusCode >= 400 && { 'error.type': String(statusCode) }),
      })
    span.end()
  }

  return (request, response, next) => {
    const { method } = request
    const server = trace.getActiveSpan()
    if (server === undefined) return void proxy(request, response, next)
    if (isKept(server)) {
      const { span, context: inside } = startSpan(method, { kind: 'client' })
      response.on('close', () => finish(span, method, response.statusCode))
      runIn(inside, () => void proxy(request, response, next))
      return
    }
    const startedAt = performance.now()
    response.on('close', () => {
      if (response.statusCode < 400) return
      // Up, as the server span's: no span begins before what caused it.
      const startTime = Math.ceil(Date.now() - (performance.now() - startedAt))
      const { span } = startSpan(method, { kind: 'client', parent: server.spanContext(), startTime })
      finish(span, method, response.statusCode)
    })
    proxy(request, response, next)
  }
}
