import type { NextFunction, Request, RequestHandler, Response } from 'express'
import { extractBearer } from './bearer.ts'
import type { Identity } from './identity.ts'
import { refusalMessage, type TokenRefusal } from './token-refusal.ts'
import type { TokenVerifier } from './token-verifier.ts'

declare global {
  // oxlint-disable-next-line typescript/no-namespace -- the way Express types are extended
  namespace Express {
    interface Request {
      /** Set by `requireAuth` and `optionalAuth`: who calls. */
      auth?: Identity
    }
  }
}

/** Why a request was stopped: a token's refusal code, or what was wrong before or after the token. */
export type RequestRefusal =
  | TokenRefusal
  | 'conflicting_credentials'
  | 'insufficient_scope'
  | 'insufficient_role'

export interface AuthOptions {
  /** Name in `WWW-Authenticate`. Default `api`. */
  readonly realm?: string
  /** Status when the issuer's keys cannot be had: 401 as for any bad token, or 503 with `Retry-After`. Default 401. */
  readonly whenKeysUnavailable?: 401 | 503
  /** For logs and metrics; called before the answer is sent. */
  readonly onRefused?: (refusal: RequestRefusal, request: Request) => void
  /** Writes the answer of a refusal in the service's own shape; its headers are set already. Default: `{code, message}`. */
  readonly answer?: (response: Response, refusal: RefusalAnswer) => void
}

/** A refusal as the client should hear it. */
export interface RefusalAnswer {
  readonly status: 400 | 401 | 403 | 503
  readonly code: 'auth_denied' | 'invalid_request' | 'auth_unavailable' | 'forbidden'
  readonly message: string
}

/**
 * Lets a request on with `req.auth` set, or answers 401 `{code: 'auth_denied', message}` with `WWW-Authenticate`
 * (RFC 6750 §3); 400 when credentials come twice, 503 when revocations cannot be checked and have to be. The message is `Missing bearer token`, `Missing subject` or `Invalid token`.
 */
export function requireAuth(
  verifier: Pick<TokenVerifier, 'verifyToken'>,
  options: AuthOptions = {},
): RequestHandler {
  const handle = async ({ request, response, next }: Exchange): Promise<void> => {
    try {
      const bearer = extractBearer(request)
      if (!bearer.ok) return deny(withoutToken[bearer.reason], { request, response, options })
      const result = await verifier.verifyToken(bearer.token)
      if (!result.ok) return deny(result.code, { request, response, options })
      request.auth = result.identity
    } catch (error) {
      return next(error)
    }
    next()
  }
  return (request, response, next) => void handle({ request, response, next })
}

/** As `requireAuth`, but a request without any token goes on without `req.auth`; a bad token is still refused. */
export function optionalAuth(
  verifier: Pick<TokenVerifier, 'verifyToken'>,
  options: AuthOptions = {},
): RequestHandler {
  const required = requireAuth(verifier, options)
  return (request, response, next) => {
    const bearer = extractBearer(request)
    if (!bearer.ok && bearer.reason === 'missing') return next()
    return required(request, response, next)
  }
}

/** After `requireAuth`: every scope must be granted, else 403 `{code: 'forbidden', message}`. */
export function requireScope(scopes: string | readonly string[], options: AuthOptions = {}): RequestHandler {
  const needed = [scopes].flat()
  return (request, response, next) => {
    const exchange = { request, response, options }
    if (request.auth === undefined) return deny('token_missing', exchange)
    const granted = request.auth.scopes
    if (needed.every((scope) => granted.includes(scope))) return next()
    return forbid('insufficient_scope', { ...exchange, scope: needed.join(' ') })
  }
}

/** After `requireAuth`: at least one of the roles must be held, else 403 `{code: 'forbidden', message}`. */
export function requireRole(roles: string | readonly string[], options: AuthOptions = {}): RequestHandler {
  const accepted = [roles].flat()
  return (request, response, next) => {
    const exchange = { request, response, options }
    if (request.auth === undefined) return deny('token_missing', exchange)
    if (request.auth.roles.some((role) => accepted.includes(role))) return next()
    return forbid('insufficient_role', exchange)
  }
}

interface Exchange {
  readonly request: Request
  readonly response: Response
  readonly next: NextFunction
}

type Refused = Omit<Exchange, 'next'> & { readonly options: AuthOptions }

type Denial = TokenRefusal | 'conflicting_credentials'

const withoutToken = { missing: 'token_missing', conflict: 'conflicting_credentials' } as const

function deny(refusal: Denial, { request, response, options }: Refused): void {
  const { realm = 'api', whenKeysUnavailable = 401, onRefused, answer = answerJson } = options
  const respond = (refused: RefusalAnswer): void => answer(response, refused)
  onRefused?.(refusal, request)
  const challenge = `Bearer realm="${quoted(realm)}"`
  if (refusal === 'conflicting_credentials') {
    response.set('WWW-Authenticate', `${challenge}, error="invalid_request"`)
    return respond({ status: 400, code: 'invalid_request', message: 'More than one Authorization header' })
  }
  // Of a token that may well be good.
  const isOurs = refusal === 'keys_unavailable' && whenKeysUnavailable === 503
  if (isOurs || refusal === 'revocations_unavailable') {
    response.set('Retry-After', '5')
    return respond({ status: 503, code: 'auth_unavailable', message: 'Authentication unavailable' })
  }
  // RFC 6750 §3.1: a request without credentials gets the bare challenge, no error code.
  const error = `, error="invalid_token", error_description="${refusalMessage(refusal)}"`
  response.set('WWW-Authenticate', refusal === 'token_missing' ? challenge : challenge + error)
  respond({ status: 401, code: 'auth_denied', message: messageOf(refusal) })
}

function answerJson(response: Response, { status, code, message }: RefusalAnswer): void {
  response.status(status).json({ code, message })
}

function messageOf(refusal: TokenRefusal): string {
  if (refusal === 'token_missing') return 'Missing bearer token'
  return refusal === 'subject_missing' ? 'Missing subject' : 'Invalid token'
}

function forbid(
  refusal: 'insufficient_scope' | 'insufficient_role',
  { request, response, options, scope }: Refused & { readonly scope?: string },
): void {
  const { realm = 'api', onRefused, answer = answerJson } = options
  onRefused?.(refusal, request)
  const wanted = scope === undefined ? '' : `, scope="${quoted(scope)}"`
  response.set('WWW-Authenticate', `Bearer realm="${quoted(realm)}", error="insufficient_scope"${wanted}`)
  const message = refusal === 'insufficient_scope' ? 'Insufficient scope' : 'Insufficient role'
  answer(response, { status: 403, code: 'forbidden', message })
}

function quoted(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '').replaceAll(/["\\]/g, String.raw`\$&`)
}
