/** The client span of a proxied request; what it sends on carries it. */
import { runIn, startSpan } from '@gw/observability/tracing'
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
    const { span, context: inside } = startSpan(request.method, {
      kind: 'client',
      attributes: { 'http.request.method': request.method, ...address },
    })
    response.once('close', () => {
      span.setAttribute('http.response.status_code', response.statusCode)
      // A client span: what the server refused is its failure too.
      if (response.statusCode >= 400) span.setStatus({ code: SpanStatusCode.ERROR })
      if (response.statusCode >= 400) span.setAttribute('error.type', String(response.statusCode))
      span.end()
    })
    runIn(inside, () => void proxy(request, response, next))
  }
}
