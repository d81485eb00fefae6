/** The part of a request that may carry a token: works for Node's `IncomingMessage` and everything built on it. */
export interface TokenCarrier {
  /** Names and values alternately, as received: Node's `headers` keeps only the first `Authorization`. */
  readonly rawHeaders: readonly string[]
  readonly url?: string | undefined
}

/** `missing`: no token, or a header of another scheme. `conflict`: more than one, so none can be trusted. */
export type BearerResult =
  | { readonly ok: true; readonly token: string }
  | { readonly ok: false; readonly reason: 'missing' | 'conflict' }

/** The token of `Authorization: Bearer …` (RFC 6750 §2.1; the scheme in any case). Two such headers are a conflict. */
export function extractBearer(request: Pick<TokenCarrier, 'rawHeaders'>): BearerResult {
  const values = headerValues(request, 'authorization')
  if (values.length > 1) return { ok: false, reason: 'conflict' }
  const token = /^bearer +(.*)$/i.exec(values[0]?.trim() ?? '')?.[1] ?? ''
  return token === '' ? { ok: false, reason: 'missing' } : { ok: true, token }
}

export interface SocketTokenOptions {
  /** Accept `?token=`. Default false: URLs end up in logs. */
  readonly query?: boolean
  /** The `Sec-WebSocket-Protocol` item that carries a token starts with this. Default `bearer.`. */
  readonly protocolPrefix?: string
}

/** A token found in an upgrade request. `protocols`: what else the client offered; never answer with the token's item. */
export type SocketTokenResult =
  | {
      readonly ok: true
      readonly token: string
      readonly source: 'header' | 'protocol' | 'query' | 'message'
      readonly protocols: readonly string[]
    }
  | { readonly ok: false; readonly reason: 'missing' | 'conflict'; readonly protocols: readonly string[] }

/**
 * The token of a WebSocket upgrade: `Authorization`, or an offered subprotocol `bearer.<token>`, or `?token=` where
 * enabled. More than one of them is a conflict, also with equal tokens (RFC 6750 §2). Pass a first message to
 * `extractMessageToken` when the result is `missing`.
 */
export function extractSocketToken(
  request: TokenCarrier,
  options: SocketTokenOptions = {},
): SocketTokenResult {
  const { query = false, protocolPrefix = 'bearer.' } = options
  const offered = headerValues(request, 'sec-websocket-protocol')
    .flatMap((value) => value.split(','))
    .map((item) => item.trim())
  const protocols = offered.filter((item) => item !== '' && !item.startsWith(protocolPrefix))
  const bearer = extractBearer(request)
  if (!bearer.ok && bearer.reason === 'conflict') return { ok: false, reason: 'conflict', protocols }
  const found = [
    ...(bearer.ok ? [{ source: 'header' as const, token: bearer.token }] : []),
    ...offered
      .filter((item) => item.startsWith(protocolPrefix))
      .map((item) => ({ source: 'protocol' as const, token: item.slice(protocolPrefix.length) })),
    ...(query ? queryTokens(request.url).map((token) => ({ source: 'query' as const, token })) : []),
  ].filter(({ token }) => token !== '')
  const [only, ...more] = found
  if (only === undefined) return { ok: false, reason: 'missing', protocols }
  return more.length > 0 ? { ok: false, reason: 'conflict', protocols } : { ok: true, ...only, protocols }
}

/**
 * The `token` of a parsed first message (`{…, token}`), trimmed. Given the result of the upgrade, a message that comes
 * with a second, different token is a conflict.
 */
export function extractMessageToken(message: unknown, upgrade?: SocketTokenResult): SocketTokenResult {
  const protocols = upgrade?.protocols ?? []
  const value: unknown =
    typeof message === 'object' && message !== null
      ? Object.getOwnPropertyDescriptor(message, 'token')?.value
      : undefined
  const token = typeof value === 'string' ? value.trim() : ''
  if (upgrade !== undefined && !upgrade.ok && upgrade.reason === 'conflict') return upgrade
  if (upgrade?.ok)
    return token === '' || token === upgrade.token ? upgrade : { ok: false, reason: 'conflict', protocols }
  return token === ''
    ? { ok: false, reason: 'missing', protocols }
    : { ok: true, token, source: 'message', protocols }
}

/** A request URL that is fit for logs: the values of `token` and `access_token` are replaced by `***`. */
export function redactUrl(url: string): string {
  return url.replace(/([?&](?:access_)?token=)[^&#]*/gi, '$1***')
}

function headerValues({ rawHeaders }: Pick<TokenCarrier, 'rawHeaders'>, name: string): string[] {
  return rawHeaders.filter((_value, index) => {
    if (index % 2 === 0) return false
    const field = rawHeaders[index - 1]
    return field?.length === name.length && field.toLowerCase() === name
  })
}

function queryTokens(url: string | undefined): string[] {
  const start = url?.indexOf('?') ?? -1
  return url === undefined || start < 0 ? [] : new URLSearchParams(url.slice(start + 1)).getAll('token')
}
