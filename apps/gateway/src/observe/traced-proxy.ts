/** The client span of a proxied request; what it sends on carries it. */
import { isKept, runIn, startSpan } from '@gw/observability/tracing'
import { SpanStatusCode, trace } from '@opentelemetry/api'
import type { RequestHandler } from 'express'

/** `proxy` inside a span that ends with the response. */
export function traceProxy(target: string, proxy: RequestHandler): RequestHandler {
  const { hostname, port, protocol } = new URL(target)
  const address = {
    'server.address': hostname,
    'server.port': Number(port) || (protocol === 'https:' ? 443 : 80),
  }
  return (request, response, next) => {
    if (trace.getActiveSpan() === undefined) return void proxy(request, response, next)
    const { span, context: inside } = startSpan(request.method, { kind: 'client' })
    response.on('close', () => {
      const { statusCode } = response
      // A client span: what the server refused is its failure too.
      if (statusCode >= 400) span.setStatus({ code: SpanStatusCode.ERROR })
      if (isKept(span))
        span.setAttributes({
          ...address,
          'http.request.method': request.method,
          'http.response.status_code': statusCode,
          ...(statusCode >= 400 && { 'error.type': String(statusCode) }),
        })
      span.end()
    })
    runIn(inside, () => void proxy(request, response, next))
  }
}
