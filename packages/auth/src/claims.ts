import { parseToken } from './parsed-token.ts'
import type { CheckedClaims } from './identity.ts'
import type { ParseResult, ParsedToken } from './parsed-token.ts'
import type { TokenRefusal } from './token-refusal.ts'

/** What a token must say to be accepted. Times in milliseconds. */
export interface ClaimPolicy {
  readonly issuers: readonly string[] | undefined
  readonly audiences: readonly string[] | undefined
  readonly clockSkewMs: number
  readonly expirySkewMs: number
  readonly maxLifetimeMs: number
}

/** Registered claims by name as a token states them; nothing is verified, so use them for display and logs only. */
export interface UnverifiedClaims {
  readonly iss?: string
  readonly sub?: string
  readonly aud?: string | readonly string[]
  readonly azp?: string
  readonly exp?: number
  readonly nbf?: number
  readonly iat?: number
  readonly jti?: string
  readonly sid?: string
  readonly scope?: string
  readonly preferred_username?: string
  readonly username?: string
  readonly nickname?: string
  readonly email?: string
}

/**
 * Reads the named claims of a well-formed token **without verifying it**; a claim of a wrong type is left out.
 * `undefined` when the text is not a token.
 */
export function extractClaims(token: string): UnverifiedClaims | undefined {
  const parsed = parseToken(token)
  if (!parsed.ok) return undefined
  const { claims } = parsed.value
  const named: Record<string, unknown> = {}
  for (const name of stringClaims) if (typeof claims[name] === 'string') named[name] = claims[name]
  for (const name of dateClaims) if (isNumericDate(claims[name])) named[name] = claims[name]
  if (typeof claims['aud'] === 'string' || isStringArray(claims['aud'])) named['aud'] = claims['aud']
  return named
}

/** Is the token over (`exp` is now or past), or without a usable `exp`? `nowMs` defaults to the clock, `skewMs` to 0. */
export function isExpired(
  claims: { readonly exp?: unknown },
  options: { readonly nowMs?: number; readonly skewMs?: number } = {},
): boolean {
  const { nowMs = Date.now(), skewMs = 0 } = options
  return !isNumericDate(claims.exp) || claims.exp * 1000 + skewMs <= nowMs
}

/**
 * Checks types, times, type, issuer, audience and subject, in that order: "no subject" is only said of a token that
 * is otherwise good. Times are compared in whole milliseconds; `exp` itself is already too late (RFC 7519 §4.1.4).
 */
export function checkClaims(
  token: ParsedToken,
  policy: ClaimPolicy,
  nowMs: number,
): ParseResult<CheckedClaims> {
  const { iss, sub, exp, iat } = token.claims
  const code =
    checkTimes(token, policy, nowMs) ??
    (isAccessToken(token) ? undefined : 'type_not_allowed') ??
    (policy.issuers === undefined || policy.issuers.some((issuer) => issuer === iss)
      ? undefined
      : 'issuer_mismatch') ??
    (isForAudience(token, policy.audiences) ? undefined : 'audience_mismatch') ??
    checkSubject(sub)
  if (code !== undefined || typeof sub !== 'string' || typeof exp !== 'number')
    return { ok: false, code: code ?? 'claim_invalid' }
  const expiresAtMs = exp * 1000
  return {
    ok: true,
    value:
      typeof iat === 'number'
        ? { subject: sub, expiresAtMs, issuedAtMs: iat * 1000 }
        : { subject: sub, expiresAtMs },
  }
}

/** A JSON number that is a date between 1970 and the end of what `Date` can hold, in seconds. */
export function isNumericDate(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= 8.64e12
}

/** `sub` as a sane string: not blank, at most 255 characters, no control characters and no lone surrogates. */
export function checkSubject(value: unknown): TokenRefusal | undefined {
  if (value === undefined || value === null || value === '') return 'subject_missing'
  if (typeof value !== 'string' || value.length > 255) return 'subject_invalid'
  return value.trim() === '' || /[\p{Cc}\p{Cs}]/u.test(value) ? 'subject_invalid' : undefined
}

/** Does `aud` (a string or an array of them) name the audience? */
export function hasAudience(aud: unknown, audience: string): boolean {
  return aud === audience || (isStringArray(aud) && aud.includes(audience))
}

function checkTimes(token: ParsedToken, policy: ClaimPolicy, nowMs: number): TokenRefusal | undefined {
  const { exp, nbf, iat } = token.claims
  if (exp === undefined) return 'exp_missing'
  if (!isNumericDate(exp)) return 'claim_invalid'
  if (nbf !== undefined && !isNumericDate(nbf)) return 'claim_invalid'
  if (iat !== undefined && !isNumericDate(iat)) return 'claim_invalid'
  if (isExpired({ exp }, { nowMs, skewMs: policy.expirySkewMs })) return 'expired'
  if (nbf !== undefined && nbf * 1000 > nowMs + policy.clockSkewMs) return 'not_yet_valid'
  if (iat !== undefined && iat * 1000 > nowMs + policy.clockSkewMs) return 'issued_in_future'
  const bornMs = iat === undefined ? nowMs : iat * 1000
  return exp * 1000 - bornMs > policy.maxLifetimeMs ? 'lifetime_too_long' : undefined
}

/**
 * RFC 9068 and RFC 8725 §3.11: ID, refresh and logout tokens come from the same issuer with the same keys, and are not
 * access tokens. Keycloak says which is which in a claim `typ`; others by `at_hash`, `c_hash` (ID) and `events` (logout).
 */
function isAccessToken({ type, claims }: ParsedToken): boolean {
  const media = type?.toLowerCase().replace(/^application\//, '')
  if (media !== undefined && media !== 'jwt' && media !== 'at+jwt') return false
  if (Object.hasOwn(claims, 'typ') && claims['typ'] !== 'Bearer') return false
  return !['at_hash', 'c_hash', 'events'].some((name) => Object.hasOwn(claims, name))
}

function isForAudience({ claims }: ParsedToken, audiences: readonly string[] | undefined): boolean {
  if (audiences === undefined) return true
  return audiences.some((audience) => hasAudience(claims['aud'], audience) || claims['azp'] === audience)
}

const stringClaims = 'iss sub azp jti sid scope preferred_username username nickname email'.split(' ')
const dateClaims = ['exp', 'nbf', 'iat'] as const

function isStringArray(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}
