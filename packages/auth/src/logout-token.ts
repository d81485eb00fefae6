import { checkSubject, hasAudience, isExpired, isNumericDate } from './claims.ts'
import type { KeyRing } from './key-ring.ts'
import { AuthError } from './auth-error.ts'
import { type ParsedToken, parseToken } from './parsed-token.ts'
import type { Revocation } from './revocation.ts'
import type { RevocationStore } from './revocation-store.ts'
import { isJsonObject } from './strict-json.ts'
import { refusalMessage, type TokenRefusal } from './token-refusal.ts'
import { checkSignature } from './verification-key.ts'

/** A logout that was applied, or why it was refused. A repeated token is `replayed`: nothing more to do. */
export type LogoutResult =
  | { readonly ok: true; readonly revocation: Revocation }
  | {
      readonly ok: false
      readonly code: TokenRefusal | 'not_a_logout_token' | 'replayed'
      readonly message: string
    }

export interface LogoutTokenContext {
  readonly ring: KeyRing
  readonly revocations: RevocationStore
  readonly now: () => number
  readonly issuers: readonly string[] | undefined
  readonly audiences: readonly string[] | undefined
  readonly clockSkewMs: number
  readonly retentionMs: number
}

const logoutEvent = 'http://schemas.openid.net/event/backchannel-logout'
const maxAgeMs = 120_000

/**
 * Validates a logout token by OpenID Connect Back-Channel Logout 1.0 §2.6 and revokes its session (`sid`), or all
 * tokens of its subject issued until then. Fresh (2 min), once per `jti`, never with a `nonce`: an ID token is none.
 * Rejects with `bad_option` when no issuer or audience is configured, or with the store's error.
 */
export async function acceptLogoutToken(token: string, context: LogoutTokenContext): Promise<LogoutResult> {
  const { ring, revocations, issuers, audiences } = context
  if (issuers === undefined || audiences === undefined)
    throw new AuthError('bad_option', 'Logout tokens need a configured issuer and audience')
  const parsed = parseToken(token)
  if (!parsed.ok) return refuse(parsed.code)
  const { claims, keyId } = parsed.value
  const key = await ring.find(claims['iss'], keyId)
  if (typeof key === 'string') return refuse(key)
  const code = checkSignature(key, parsed.value) ?? checkLogoutClaims(parsed.value, context)
  if (code !== undefined) return refuse(code)
  const revocation = revocationOf(parsed.value, context)
  if (revocation === undefined) return refuse('not_a_logout_token')
  // Revoking twice changes nothing, but an id claimed before a store that then fails would lose the logout.
  await revocations.revoke(revocation)
  const id = `${String(claims['iss'])} ${String(claims['jti'])}`
  const isFirst = await revocations.claimOnce(id, context.now() + maxAgeMs + 2 * context.clockSkewMs)
  if (!isFirst) return refuse('replayed')
  return { ok: true, revocation }
}

function checkLogoutClaims(
  { type, claims }: ParsedToken,
  { issuers, audiences, now, clockSkewMs }: LogoutTokenContext,
): TokenRefusal | 'not_a_logout_token' | undefined {
  const { iss, aud, iat, exp, events, jti, nonce } = claims
  const media = type?.toLowerCase().replace(/^application\//, '')
  if (media !== undefined && media !== 'logout+jwt' && media !== 'jwt') return 'type_not_allowed'
  if (!isJsonObject(events) || !isJsonObject(events[logoutEvent]) || nonce !== undefined)
    return 'not_a_logout_token'
  if (typeof jti !== 'string' || jti === '' || jti.length > 255) return 'not_a_logout_token'
  if (!issuers?.some((issuer) => issuer === iss)) return 'issuer_mismatch'
  if (!audiences?.some((audience) => hasAudience(aud, audience))) return 'audience_mismatch'
  if (!isNumericDate(iat)) return 'claim_invalid'
  if (iat * 1000 > now() + clockSkewMs) return 'issued_in_future'
  if (iat * 1000 + maxAgeMs + clockSkewMs <= now()) return 'expired'
  return isExpired({ exp }, { nowMs: now(), skewMs: clockSkewMs }) ? 'expired' : undefined
}

/** A session that was ended never comes back, so every token of it goes, also one that is being refreshed right now. */
function revocationOf({ claims }: ParsedToken, { retentionMs }: LogoutTokenContext): Revocation | undefined {
  const { sid, sub, iat } = claims
  if (typeof iat !== 'number') return undefined
  if (typeof sid === 'string' && sid !== '' && sid.length <= 255)
    return { kind: 'session', value: sid, issuedBeforeMs: iat * 1000 + retentionMs }
  if (sid !== undefined || typeof sub !== 'string' || checkSubject(sub) !== undefined) return undefined
  return { kind: 'subject', value: sub, issuedBeforeMs: iat * 1000 + 1 }
}

function refuse(code: TokenRefusal | 'not_a_logout_token' | 'replayed'): LogoutResult {
  switch (code) {
    case 'not_a_logout_token':
      return { ok: false, code, message: 'The token is not a back-channel logout token' }
    case 'replayed':
      return { ok: false, code, message: 'The logout token was used before' }
    default:
      return { ok: false, code, message: refusalMessage(code) }
  }
}
