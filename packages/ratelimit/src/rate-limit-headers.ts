import type { ServerResponse } from 'node:http'
import type { Decision, KeyDecision } from './decision.ts'

/** The header fields of a decision; `windowMsOf` knows the windows, which a decision doesn't carry. */
export interface RateLimitHeaderOptions {
  readonly windowMsOf: (policy: string) => number | undefined
  /** Unix time in ms. */
  readonly nowMs: number
  readonly setHeader: (response: ServerResponse, name: string, value: string) => void
}

/**
 * Sets `X-RateLimit-Limit/Remaining/Reset` (Reset in unix seconds) for the tightest key, and the fields of
 * draft-ietf-httpapi-ratelimit-headers-11 for all. When an earlier middleware limited the same response, the IETF lists
 * grow; a refusal or the tighter of both owns the legacy fields.
 */
export function setRateLimitHeaders(
  response: ServerResponse,
  decision: Decision,
  options: RateLimitHeaderOptions,
): void {
  const set = (name: string, value: string | number): void => options.setHeader(response, name, String(value))
  const tightest = tightestOf(decision.results)
  if (tightest !== undefined && !isLooser(tightest, response)) {
    set('X-RateLimit-Limit', tightest.limit)
    set('X-RateLimit-Remaining', tightest.remaining)
    set('X-RateLimit-Reset', Math.ceil((options.nowMs + tightest.resetMs) / 1000))
  }
  let policies = listBefore(response, 'RateLimit-Policy')
  let states = listBefore(response, 'RateLimit')
  for (const { policy, limit, remaining, moreAfterMs } of decision.results) {
    const windowMs = options.windowMsOf(policy)
    const window = windowMs === undefined ? '' : `;w=${Math.ceil(windowMs / 1000)}`
    policies += `${policies === '' ? '' : ', '}"${policy}";q=${limit}${window}`
    states += `${states === '' ? '' : ', '}"${policy}";r=${remaining};t=${Math.ceil(moreAfterMs / 1000)}`
  }
  set('RateLimit-Policy', policies)
  set('RateLimit', states)
  if (decision.retryAfterMs > 0) set('Retry-After', retryAfterSeconds(decision.retryAfterMs))
}

/** Whole seconds, at least 1, never too early. */
export function retryAfterSeconds(retryAfterMs: number): number {
  return Math.max(1, Math.ceil(retryAfterMs / 1000))
}

/** The key that refused for longest, else the one with the least left. */
export function tightestOf(results: readonly KeyDecision[]): KeyDecision | undefined {
  let tightest: KeyDecision | undefined
  for (const result of results) {
    if (tightest === undefined || isTighter(result, tightest)) tightest = result
  }
  return tightest
}

function isTighter(result: KeyDecision, than: KeyDecision): boolean {
  if (result.allowed !== than.allowed) return !result.allowed
  if (result.allowed) return result.remaining < than.remaining
  const never = Number.MAX_SAFE_INTEGER
  const [wait, other] = [result.retryAfterMs, than.retryAfterMs].map((ms) => (ms < 0 ? never : ms))
  return (wait ?? 0) > (other ?? 0)
}

function isLooser(result: KeyDecision, response: ServerResponse): boolean {
  const before = response.getHeader('X-RateLimit-Remaining')
  return result.allowed && before !== undefined && Number(before) < result.remaining
}

/** What an earlier middleware has said, for this one to add to. */
function listBefore(response: ServerResponse, name: string): string {
  return String(response.getHeader(name) ?? '')
}
