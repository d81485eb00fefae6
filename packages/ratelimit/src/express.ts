import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Decision, LimitRequest } from './decision.ts'
import { retryAfterSeconds, setRateLimitHeaders, tightestOf } from './rate-limit-headers.ts'
import type { RateLimiter } from './rate-limiter.ts'

export interface RateLimitOptions<Req extends IncomingMessage> {
  readonly limiter: Pick<RateLimiter, 'consume' | 'policies'>
  /** What the request counts on: user, address, or both in one call; none lets it pass uncounted. */
  readonly keys: (request: Req) => readonly LimitRequest[]
  /** The `message` of a 429. Default: `Too many requests from this IP` or `… this user`, by the refused key. */
  readonly message?: (key: string) => string
  /** More members for the bodies of 429 and 503: the ids by which an answer is found again in logs and traces. */
  readonly ids?: (request: Req) => Readonly<Record<string, string>>
  /** How the fields of a decision are set. Default `response.setHeader`. */
  readonly setHeader?: (response: ServerResponse, name: string, value: string) => void
  /** Called for every refusal, before the answer is sent. */
  readonly onRefused?: (request: Req, decision: Decision) => void
}

/** An Express middleware, or one of anything that calls `(request, response, next)`. */
export type RateLimitMiddleware<Req extends IncomingMessage> = (
  request: Req,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void

/**
 * Limits requests: before authentication by address, after it by user and address. Refused: 429 `RATE_LIMITED` with an
 * exact `Retry-After`; 413 when the cost exceeds the limit; 503 `SERVICE_UNAVAILABLE` with `X-Gateway-Reason:
 * limits_unavailable` when the store failed and `onStoreError` is `deny`. Each `{code, message}`, or problem details
 * (RFC 9457) with the same members for who accepts them. An error of `keys` or of the limiter goes to `next`.
 */
export function rateLimit<Req extends IncomingMessage = IncomingMessage>(
  options: RateLimitOptions<Req>,
): RateLimitMiddleware<Req> {
  const { limiter, keys, setHeader = setOn, onRefused } = options
  const windowMsOf = (name: string): number | undefined => limiter.policies.get(name)?.windowMs

  function isAnswered(asked: Asked<Req>, decision: Decision): boolean {
    const { request, response } = asked
    if (decision.source !== 'unavailable')
      setRateLimitHeaders(response, decision, { windowMsOf, nowMs: Date.now(), setHeader })
    if (decision.allowed) return false
    onRefused?.(request, decision)
    refuse({ ...asked, decision }, options)
    return true
  }

  function consume(request: Req): Promise<Decision> | undefined {
    const requests = keys(request)
    return requests.length === 0 ? undefined : limiter.consume(requests)
  }

  return (request, response, next) => {
    let decided: Promise<Decision> | undefined
    try {
      decided = consume(request)
    } catch (error) {
      return next(error)
    }
    if (decided === undefined) return next()
    decided.then((decision) => {
      let answered: boolean
      try {
        answered = isAnswered({ request, response }, decision)
      } catch (error) {
        return next(error)
      }
      if (!answered) next()
    }, next)
  }
}

function setOn(response: ServerResponse, name: string, value: string): void {
  response.setHeader(name, value)
}

interface Asked<Req extends IncomingMessage> {
  readonly request: Req
  readonly response: ServerResponse
}

interface Refused<Req extends IncomingMessage> extends Asked<Req> {
  readonly decision: Decision
}

function refuse<Req extends IncomingMessage>(refused: Refused<Req>, options: RateLimitOptions<Req>): void {
  const { request, response, decision } = refused
  // The client left, or something else has answered meanwhile.
  if (response.headersSent || response.destroyed) return
  const { status, code, message, problem } = refusalOf(decision, options.message ?? messageOf)
  if (status === 503) {
    response.setHeader('Retry-After', retryAfterSeconds(decision.retryAfterMs))
    response.setHeader('X-Gateway-Reason', 'limits_unavailable')
  }
  const body = { code, message, ...options.ids?.(request) }
  const wantsProblem = request.headers.accept?.includes('application/problem+json') === true
  if (!wantsProblem) send(response, status, { type: 'application/json', body })
  else
    send(response, status, {
      type: 'application/problem+json',
      body: { ...problem, status, detail: message, instance: instanceOf(request), ...body },
    })
}

interface Refusal {
  readonly status: 413 | 429 | 503
  readonly code: string
  readonly message: string
  /** Its own members of RFC 9457. */
  readonly problem: Readonly<Record<string, unknown>>
}

function refusalOf(decision: Decision, messageFor: (key: string) => string): Refusal {
  if (decision.source === 'unavailable')
    return {
      status: 503,
      code: 'SERVICE_UNAVAILABLE',
      message: 'Rate limiting service unavailable',
      problem: { type: 'about:blank', title: 'Service Unavailable' },
    }
  const violated = decision.results.filter(({ allowed }) => !allowed).map(({ policy }) => policy)
  return {
    // Waiting can't help a request that costs more than the limit: that is no 429.
    status: decision.retryAfterMs < 0 ? 413 : 429,
    code: 'RATE_LIMITED',
    message: messageFor(tightestOf(decision.results)?.key ?? ''),
    // The type that draft-ietf-httpapi-ratelimit-headers registers.
    problem: {
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      title: 'Quota exceeded',
      'violated-policies': violated,
    },
  }
}

/** The path as the client sent it: Express cuts `url` where a middleware is mounted. Without the query, which may hold a token. */
function instanceOf(request: IncomingMessage & { readonly originalUrl?: string }): string | undefined {
  return (request.originalUrl ?? request.url)?.split('?', 1)[0]
}

function messageOf(key: string): string {
  return `Too many requests from this ${key.startsWith('ip:') ? 'IP' : 'user'}`
}

function send(response: ServerResponse, status: number, content: { type: string; body: object }): void {
  const bytes = Buffer.from(JSON.stringify(content.body))
  response.statusCode = status
  response.setHeader('Content-Type', `${content.type}; charset=utf-8`)
  response.setHeader('Content-Length', bytes.length)
  response.end(bytes)
}
