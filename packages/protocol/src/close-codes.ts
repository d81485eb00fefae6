/** What a client does after a close: reconnect with backoff, reconnect once with a fresh token, or stay away. */
export type CloseRetry = 'backoff' | 'new_token' | 'never'

/** One way a socket ends; `reason` is the close frame's text, a stable word (the contract's phrases where it has one). */
export interface CloseRow {
  readonly code: number
  readonly reason: string
  readonly retryable: boolean
  readonly retry: CloseRetry
}

/** Every close that the gateway sends (RFC 6455 §7.4; 4000-4499 retryable, 4500-4999 final). */
export const closeCodes = {
  going_away: { code: 1001, reason: 'going_away', retryable: true, retry: 'backoff' },
  protocol_error: { code: 1002, reason: 'protocol_error', retryable: false, retry: 'never' },
  invalid_utf8: { code: 1007, reason: 'invalid_utf8', retryable: false, retry: 'never' },
  auth_required: { code: 1008, reason: 'Authentication required', retryable: false, retry: 'new_token' },
  auth_malformed: {
    code: 1008,
    reason: 'Invalid authentication payload',
    retryable: false,
    retry: 'new_token',
  },
  auth_refused: { code: 1008, reason: 'Unauthorized', retryable: false, retry: 'new_token' },
  policy: { code: 1008, reason: 'policy', retryable: false, retry: 'new_token' },
  too_big: { code: 1009, reason: 'too_big', retryable: false, retry: 'never' },
  internal: { code: 1011, reason: 'Internal error', retryable: true, retry: 'backoff' },
  auth_unavailable: {
    code: 1011,
    reason: 'Authentication unavailable',
    retryable: true,
    retry: 'backoff',
  },
  restart: { code: 1012, reason: 'restart', retryable: true, retry: 'backoff' },
  try_later: { code: 1013, reason: 'try_later', retryable: true, retry: 'backoff' },
  token_expired: { code: 4001, reason: 'token_expired', retryable: true, retry: 'new_token' },
  no_heartbeat: { code: 4002, reason: 'no_heartbeat', retryable: true, retry: 'backoff' },
  too_slow: { code: 4008, reason: 'too_slow', retryable: true, retry: 'backoff' },
  replaced: { code: 4009, reason: 'replaced', retryable: true, retry: 'backoff' },
  rate_limited: { code: 4029, reason: 'rate_limited', retryable: true, retry: 'backoff' },
  revoked: { code: 4500, reason: 'revoked', retryable: false, retry: 'never' },
  forbidden: { code: 4503, reason: 'forbidden', retryable: false, retry: 'never' },
} as const

/** The name of a close. */
export type CloseName = keyof typeof closeCodes

/** The number of a close that the gateway sends. */
export type CloseCode = (typeof closeCodes)[CloseName]['code']

/**
 * What to do after any close code, also one that this version does not know: 1000 and 4500-4999 are final, 1008 and
 * 4001 need another token, 1002, 1003, 1007, 1009 and 1010 would happen again; everything else (1006 too) is worth a retry.
 */
export function retryAfterClose(code: number): CloseRetry {
  if (code === 1008 || code === closeCodes.token_expired.code) return 'new_token'
  if (code >= 4500 && code <= 4999) return 'never'
  return [1000, 1002, 1003, 1007, 1009, 1010].includes(code) ? 'never' : 'backoff'
}
