/** The headers by which backends know the caller. Always ASCII, whatever a name or claim holds (RFC 9110 field values). */
import type { Identity } from '@gw/auth'

/** JSON with everything above ASCII escaped as `\uXXXX`: the same value to a JSON parser, and legal in a header. */
export function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** Percent-encodes what is not visible ASCII, and `%` itself; ordinary ids pass unchanged. */
export function asciiValue(value: string): string {
  return /^[\x21-\x24\x26-\x7e]*$/.test(value) ? value : encodeURIComponent(value.toWellFormed())
}

type IdentityHeaders = Readonly<Record<string, string>>

/**
 * A function that gives `x-user-id`, `x-gateway-user-id`, `x-user-claims` for an identity. The verifier hands out the same
 * object for a token as long as it is cached: its headers are made once.
 */
export function createIdentityHeaders(): (identity: Identity) => IdentityHeaders {
  const made = new WeakMap<Identity, IdentityHeaders>()
  return (identity) => {
    const known = made.get(identity)
    if (known) return known
    const userId = asciiValue(identity.subject)
    const headers = {
      'x-user-id': userId,
      'x-gateway-user-id': userId,
      'x-user-claims': asciiJson(identity.claims),
    }
    made.set(identity, headers)
    return headers
  }
}
