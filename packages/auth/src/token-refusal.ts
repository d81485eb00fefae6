const messages = {
  token_missing: 'The token is missing',
  token_too_large: 'The token is too large',
  token_malformed: 'The token is not three canonical base64url segments of JSON',
  duplicate_member: 'The token repeats a member name',
  forbidden_member: 'The token holds a member that is not allowed',
  header_not_allowed: 'The token header asks for something that is not supported',
  algorithm_not_allowed: 'The token is signed with an algorithm that is not allowed for its key',
  type_not_allowed: 'The token is not an access token',
  key_unknown: 'The token is signed with an unknown key',
  keys_unavailable: 'The keys of the token issuer are not available',
  signature_invalid: 'The token signature is invalid',
  exp_missing: 'The token has no expiry',
  claim_invalid: 'A registered claim of the token has a wrong type or value',
  expired: 'The token has expired',
  not_yet_valid: 'The token is not valid yet',
  issued_in_future: 'The token was issued in the future',
  lifetime_too_long: 'The token lives longer than allowed',
  issuer_mismatch: 'The token comes from another issuer',
  audience_mismatch: 'The token is meant for another audience',
  subject_missing: 'The token has no subject',
  subject_invalid: 'The token subject is not acceptable',
  revoked: 'The token was revoked',
  revocations_unavailable: 'Revocations cannot be checked',
} as const

/** Stable code of a refused token: fit for metrics labels and for `switch`. */
export type TokenRefusal = keyof typeof messages

/** Every refusal code, for tables, tests and metric registration. */
export const tokenRefusals: readonly TokenRefusal[] = Object.keys(messages).filter(isTokenRefusal)

/** A constant text per code: it never contains any part of the token. */
export function refusalMessage(code: TokenRefusal): string {
  return messages[code]
}

function isTokenRefusal(name: string): name is TokenRefusal {
  return Object.hasOwn(messages, name)
}
