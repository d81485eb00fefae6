/** The client span of a proxied request, by the HTTP semantic conventions; what it sends on carries it. */
import { activeSpan, isKept, runIn, startSpan } from '@gw/observability/tracing'
import { type Attributes, type Span, SpanStatusCode } from '@opentelemetry/api'
import type { Request } from 'express'
import type { ProxyResult } from '../http/proxy.ts'

export interface ProxyTracer {
  /** Runs `send` inside a span, in a trace that is kept. */
  readonly around: (request: Request, send: () => Promise<string>) => Promise<string>
  /**
   * Ends it, in the request's own context. In a trace that isn't kept a span is made of a call that failed: until then all
   * goes by the server span's ids anyway.
   */
  readonly onResult: (result: ProxyResult, request: Request) => void
}

/** `target`: the backend's origin. */
export function createProxyTracer(target: string): ProxyTracer {
  const { hostname, port, protocol } = new URL(target)
  const address = {
    'server.address': hostname,
    'server.port': Number(port) || (protocol === 'https:' ? 443 : 80),
  }
  const open = new WeakMap<Request, Span>()

  function end(span: Span, { method }: Request, { code }: ProxyResult): void {
    const attributes: Attributes = { ...address, 'http.request.method': method }
    if (Number(code) > 0) attributes['http.response.status_code'] = Number(code)
    if (hasFailed(code)) {
      attributes['error.type'] = code
      span.setStatus({ code: SpanStatusCode.ERROR })
    }
    span.setAttributes(attributes).end()
  }

  return {
    around(request, send) {
      const server = activeSpan()
      if (server === undefined || !isKept(server)) return send()
      const { span, context: inside } = startSpan(request.method, { kind: 'client' })
      open.set(request, span)
      return runIn(inside, send)
    },
    onResult(result, request) {
      const server = activeSpan()
      if (server === undefined) return
      const span = isKept(server) ? open.get(request) : undefined
      if (span !== undefined) return end(span, request, result)
      if (!hasFailed(result.code)) return
      const startTime = performance.now() - result.seconds * 1000
      end(startSpan(request.method, { kind: 'client', startTime }).span, request, result)
    },
  }
}

/** It is a client span: what the server refused is its failure too. Not what the caller no longer wanted. */
function hasFailed(code: string): boolean {
  return code !== 'client_closed' && !(Number(code) < 400)
}
