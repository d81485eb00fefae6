import type { Identity } from './identity.ts'
import { AuthError } from './auth-error.ts'

/** Revokes every token of one subject, session (`sid`) or token id (`jti`) that was issued before an instant. */
export interface Revocation {
  readonly kind: 'subject' | 'session' | 'token'
  readonly value: string
  /** Tokens with `iat` before this are refused, tokens without `iat` too. */
  readonly issuedBeforeMs: number
}

/** What `revoke` takes: exactly one of the three, and from when; default is all tokens issued until now. */
export type RevocationRequest = (
  | { readonly subject: string; readonly sessionId?: never; readonly tokenId?: never }
  | { readonly sessionId: string; readonly subject?: never; readonly tokenId?: never }
  | { readonly tokenId: string; readonly subject?: never; readonly sessionId?: never }
) & { readonly issuedBeforeMs?: number }

/** The part of an identity that a revocation can hit. */
export type Revocable = Pick<Identity, 'subject' | 'sessionId' | 'tokenId' | 'issuedAtMs'>

/** Turns a request into a revocation; throws `bad_revocation` unless it names exactly one non-empty target. */
export function parseRevocation(request: RevocationRequest, nowMs: number): Revocation {
  const targets = [
    { kind: 'subject', value: request.subject },
    { kind: 'session', value: request.sessionId },
    { kind: 'token', value: request.tokenId },
  ] as const
  const named = targets.filter(({ value }) => value !== undefined)
  const [target] = named
  // `iat` has whole seconds: a token of this very second was issued before now, and must go too.
  const issuedBeforeMs = request.issuedBeforeMs ?? nowMs + 1
  if (named.length !== 1 || target?.value === undefined || target.value === '' || target.value.length > 1024)
    throw new AuthError('bad_revocation', 'A revocation names exactly one of subject, sessionId and tokenId')
  if (!Number.isFinite(issuedBeforeMs))
    throw new AuthError('bad_revocation', 'issuedBeforeMs must be a number')
  return { kind: target.kind, value: target.value, issuedBeforeMs }
}

/** Does the revocation hit a token with these claims? */
export function isRevokedBy(revocation: Revocation, token: Revocable): boolean {
  return (
    targetOf(revocation.kind, token) === revocation.value &&
    (token.issuedAtMs ?? -Infinity) < revocation.issuedBeforeMs
  )
}

/** The value of a token that a revocation of this kind names. */
function targetOf(kind: Revocation['kind'], token: Revocable): string | undefined {
  return { subject: token.subject, session: token.sessionId, token: token.tokenId }[kind]
}
