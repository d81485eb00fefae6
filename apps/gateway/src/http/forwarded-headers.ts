/** Which header fields pass the proxy, in each direction. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'

/** Hop-by-hop fields (RFC 9110 §7.6.1), and those that belong to the connection in another way. */
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

type Headers = Record<string, string | string[]>

/**
 * The client's fields, without what ends here and without what it may not say, then `own`. What its `Connection` names is
 * hop-by-hop too; ours are set last, so it cannot name those away.
 */
export function requestHeaders(
  { headers }: Pick<IncomingMessage, 'headers'>,
  own: Readonly<Record<string, string>>,
): Headers {
  const named =
    headers.connection === undefined || headers.connection === 'keep-alive'
      ? undefined
      : headers.connection
          .toLowerCase()
          .split(',')
          .map((name) => name.trim())
  const passed: Headers = {}
  for (const name in headers) {
    const value = headers[name]
    if (value === undefined || hopByHop.has(name) || ours.test(name) || named?.includes(name)) continue
    passed[name] = value
  }
  return Object.assign(passed, own)
}

/** The backend's fields without those of its connection: names and values in turn. */
export function responseFields(headers: IncomingHttpHeaders): string[] {
  const passed: string[] = []
  for (const name in headers) {
    const value = headers[name]
    if (value === undefined || hopByHop.has(name)) continue
    if (typeof value === 'string') passed.push(name, value)
    else for (const one of value) passed.push(name, one)
  }
  return passed
}
