/**
 * Refuses request targets that two servers could read differently: encoded separators and dots, backslashes, empty
 * segments, absolute form, bad percent-encoding. Routing and forwarding then see one and the same path.
 */
import type { RequestHandler } from 'express'
import { GatewayError } from '../errors.ts'

const ambiguous = /%2f|%5c|%2e|%00|\\|\/\/|;|[^\x21-\x7e]|(?:^|\/)\.{1,2}(?:\/|$)/i

function isPlain(target: string): boolean {
  const path = target.split('?', 1)[0] ?? ''
  if (!path.startsWith('/') || ambiguous.test(path)) return false
  try {
    decodeURIComponent(path)
    return true
  } catch {
    return false
  }
}

export function pathGuard(): RequestHandler {
  return (request, _response, next) => {
    if (isPlain(request.originalUrl)) next()
    else next(new GatewayError('invalid_request', 'Ambiguous request path'))
  }
}
