import { createPublicKey, X509Certificate } from 'node:crypto'
import type { KeyFetchFailure } from './auth-event.ts'
import { isKeyId } from './parsed-token.ts'
import { isJsonObject, type JsonObject } from './strict-json.ts'
import { bindAlgorithm, importPublicKey, type VerificationKey } from './verification-key.ts'

/** Keys by `kid`; the key under `''` is for tokens without one. `skipped` says why others were left out. */
export interface KeySetDocument {
  readonly keys: ReadonlyMap<string, VerificationKey>
  readonly skipped: readonly string[]
}

/** The key id under which the key for tokens without `kid` is filed. */
export const noKeyId = ''

const maxKeys = 50

/**
 * Reads a JWK Set (RFC 7517 §5). Left out: symmetric and private keys, keys for encryption, weak keys, other
 * algorithms, and every key of a `kid` that occurs twice. A Map, so that a `kid` of `__proto__` is only a string.
 */
export function parseJwks(document: JsonObject): KeySetDocument | KeyFetchFailure {
  const list = document['keys']
  if (!Array.isArray(list)) return 'not_a_key_set'
  if (list.length > maxKeys) return 'too_many_keys'
  const skipped: string[] = []
  const usable: [string | undefined, VerificationKey][] = []
  for (const jwk of list) {
    const result = importJwk(jwk)
    if (typeof result === 'string') skipped.push(result)
    else usable.push(result)
  }
  const keys = new Map<string, VerificationKey>()
  for (const [keyId, key] of usable) {
    if (keyId === undefined) continue
    if (usable.filter(([other]) => other === keyId).length > 1) skipped.push('duplicate kid')
    else keys.set(keyId, key)
  }
  const [only] = usable
  if (usable.length === 1 && only !== undefined) keys.set(noKeyId, only[1])
  return keys.size === 0 ? 'no_usable_keys' : { keys, skipped }
}

/** Reads Keycloak's realm description: `public_key` is the base64 of the active RSA key's DER. */
export function parseRealm(document: JsonObject): KeySetDocument | KeyFetchFailure {
  const text = document['public_key']
  if (typeof text !== 'string') return 'not_a_key_set'
  try {
    return { keys: new Map([[noKeyId, importPublicKey(text)]]), skipped: [] }
  } catch {
    return 'no_usable_keys'
  }
}

function importJwk(jwk: unknown): [string | undefined, VerificationKey] | string {
  if (!isJsonObject(jwk)) return 'not an object'
  const { kid, kty, use, alg, key_ops: operations } = jwk
  if (kid !== undefined && !isKeyId(kid)) return 'unusable kid'
  if (kty === 'oct' || Object.hasOwn(jwk, 'k')) return 'symmetric key'
  if (Object.hasOwn(jwk, 'd')) return 'private key'
  if (use !== undefined && use !== 'sig') return 'not for signatures'
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify')))
    return 'not for verification'
  if (alg !== undefined && typeof alg !== 'string') return 'unusable alg'
  try {
    return [kid, bindAlgorithm(publicKeyOf(jwk), alg)]
  } catch {
    return 'unsupported or weak key'
  }
}

/** From the JWK's own parameters, or, where a provider gives only those, from its first certificate. */
function publicKeyOf(jwk: JsonObject): ReturnType<typeof createPublicKey> {
  const certificate = Array.isArray(jwk['x5c']) ? jwk['x5c'][0] : undefined
  if (jwk['n'] === undefined && jwk['x'] === undefined && typeof certificate === 'string')
    return new X509Certificate(Buffer.from(certificate, 'base64')).publicKey
  return createPublicKey({ key: { ...jwk }, format: 'jwk' })
}
