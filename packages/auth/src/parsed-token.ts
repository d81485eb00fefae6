import { decodeCanonical } from './base64url.ts'
import { type JsonObject, parseStrictJson } from './strict-json.ts'
import type { TokenRefusal } from './token-refusal.ts'

/** A token in compact JWS form (RFC 7515 §3.1) whose shape and header were checked; the signature was not. */
export interface ParsedToken {
  readonly algorithm: string
  readonly keyId: string | undefined
  readonly type: string | undefined
  readonly claims: JsonObject
  readonly signingInput: string
  readonly signature: Buffer
}

/** The header of a token, checked. */
export type TokenHeader = Pick<ParsedToken, 'algorithm' | 'keyId' | 'type'>

export type ParseResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly code: TokenRefusal }

/** 8 KB: what Node's HTTP parser and common proxies let through in one header line. */
export const maxTokenBytes: number = 8192

/** Headers that move the trust (keys from the token itself, or a URL in it), change the meaning, or nest another token. */
const forbiddenHeaders = ['crit', 'b64', 'jku', 'jwk', 'x5u', 'x5c', 'zip', 'enc', 'epk', 'p2c', 'p2s', 'cty']

/** Splits and decodes a token strictly; `readHeader` may be a cached `parseHeader`. Never throws. */
export function parseToken(
  token: string,
  readHeader: (segment: string) => ParseResult<TokenHeader> = parseHeader,
): ParseResult<ParsedToken> {
  if (token === '') return { ok: false, code: 'token_missing' }
  if (token.length > maxTokenBytes) return { ok: false, code: 'token_too_large' }
  const headerEnd = token.indexOf('.')
  const payloadEnd = token.indexOf('.', headerEnd + 1)
  // A third dot is no base64url, nor is a payload cut by a missing one.
  const payload = payloadEnd < 0 ? undefined : decodeCanonical(token.slice(headerEnd + 1, payloadEnd))
  const signature = decodeCanonical(token.slice(payloadEnd + 1))
  if (payload === undefined || signature === undefined) return { ok: false, code: 'token_malformed' }
  const header = readHeader(token.slice(0, headerEnd))
  if (!header.ok) return header
  const claims = parseStrictJson(payload)
  if (!claims.ok) return claims
  const { algorithm, keyId, type } = header.value
  const signingInput = token.slice(0, payloadEnd)
  return { ok: true, value: { algorithm, keyId, type, claims: claims.value, signingInput, signature } }
}

/** Decodes and checks one header segment. Unknown members are ignored (RFC 7515 §4), dangerous ones are refused. */
export function parseHeader(segment: string): ParseResult<TokenHeader> {
  const bytes = decodeCanonical(segment)
  const parsed = bytes === undefined ? undefined : parseStrictJson(bytes)
  if (parsed === undefined) return { ok: false, code: 'token_malformed' }
  if (!parsed.ok) return parsed
  const header = parsed.value
  if (forbiddenHeaders.some((name) => Object.hasOwn(header, name)))
    return { ok: false, code: 'header_not_allowed' }
  const { alg, kid, typ } = header
  if (typeof alg !== 'string') return { ok: false, code: 'token_malformed' }
  if (kid !== undefined && !isKeyId(kid)) return { ok: false, code: 'header_not_allowed' }
  if (typ !== undefined && typeof typ !== 'string') return { ok: false, code: 'type_not_allowed' }
  return { ok: true, value: { algorithm: alg, keyId: kid, type: typ } }
}

/** A key id that may be looked up: 1 to 256 characters, none of them a control character or a lone surrogate. */
export function isKeyId(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= 256 && !/[\p{Cc}\p{Cs}]/u.test(value)
}
