/**
 * Signatures by node:crypto rather than by jsonwebtoken: its verify() ignores `crit` and `b64`, has no EdDSA, and
 * decodes the token a second time, so that our checks plus its own would be slower than either alone (bench/verify.ts
 * has both). A key is imported once as a KeyObject and carries its one algorithm: a token chooses neither.
 */
import {
  createHmac,
  createPublicKey,
  createSecretKey,
  type KeyObject,
  timingSafeEqual,
  verify,
} from 'node:crypto'
import { AuthError } from './auth-error.ts'
import { hasRocaFingerprint } from './roca-fingerprint.ts'

/** The algorithms that can be configured for a public key. */
export type PublicKeyAlgorithm = 'RS256' | 'ES256' | 'EdDSA'

/** One key with the one algorithm (RFC 8725 §3.1) it may be used with. */
export interface VerificationKey {
  readonly algorithm: PublicKeyAlgorithm | 'HS256'
  readonly key: KeyObject
  readonly signatureBytes: number
}

/** Why the token is not signed with this key and its one algorithm, or `undefined` when it is. */
export function checkSignature(
  key: VerificationKey,
  token: { readonly algorithm: string; readonly signingInput: string; readonly signature: Buffer },
): 'algorithm_not_allowed' | 'signature_invalid' | undefined {
  if (token.algorithm !== key.algorithm) return 'algorithm_not_allowed'
  return isSignatureValid(key, token.signingInput, token.signature) ? undefined : 'signature_invalid'
}

/** Does the signature belong to the text? Constant time for HS256; a wrong length is refused before any arithmetic. */
export function isSignatureValid(key: VerificationKey, signingInput: string, signature: Buffer): boolean {
  return signature.length === key.signatureBytes && checks[key.algorithm](key.key, signingInput, signature)
}

type SignatureCheck = (key: KeyObject, signingInput: string, signature: Buffer) => boolean

const checks: Readonly<Record<VerificationKey['algorithm'], SignatureCheck>> = {
  // A digest as text, decoded into Buffer's pool, is a fifth faster than one in a Buffer of its own.
  HS256: (key, text, signature) =>
    timingSafeEqual(
      Buffer.from(createHmac('sha256', key).update(text).digest('base64url'), 'base64url'),
      signature,
    ),
  RS256: (key, text, signature) => verify('sha256', Buffer.from(text, 'latin1'), key, signature),
  ES256: (key, text, signature) =>
    verify('sha256', Buffer.from(text, 'latin1'), { key, dsaEncoding: 'ieee-p1363' }, signature),
  EdDSA: (key, text, signature) => verify(null, Buffer.from(text, 'latin1'), key, signature),
}

/** Published in tutorials and tools, long enough to pass the length check, and therefore known to everyone. */
const publishedSecrets = ['a-string-secret-at-least-256-bits-long', 'your-256-bit-secret-your-256-bit-secret']

/** Imports an HS256 secret: at least 32 bytes (RFC 7518 §3.2), not a repetition, not a published one, not a key file. */
export function importSecret(secret: string | Uint8Array): VerificationKey {
  const bytes = Buffer.from(secret)
  if (bytes.length < 32)
    throw new AuthError(
      'weak_secret',
      `The HS256 secret has ${bytes.length} bytes; at least 32 are required (openssl rand -base64 48)`,
    )
  const text = bytes.toString('latin1')
  if (text.includes('-----BEGIN'))
    throw new AuthError('weak_secret', 'The HS256 secret is a PEM file: configure it as a public key instead')
  if (new Set(bytes).size < 8 || isRepetition(text) || publishedSecrets.includes(text))
    throw new AuthError('weak_secret', 'The HS256 secret is easy to guess: use 32 random bytes')
  return { algorithm: 'HS256', key: createSecretKey(bytes), signatureBytes: 32 }
}

/** Imports a public key or certificate from PEM (line breaks may be `\n` in two characters) or bare base64 of its DER. */
export function importPublicKey(text: string, algorithm?: PublicKeyAlgorithm): VerificationKey {
  const key = text.trim().replaceAll(String.raw`\n`, '\n')
  if (/PRIVATE KEY-----/.test(key))
    throw new AuthError('bad_key', 'The public key is a private key: configure its public half')
  const isPem = key.startsWith('-----BEGIN')
  let imported: KeyObject
  try {
    imported = isPem
      ? createPublicKey(key)
      : createPublicKey({ key: Buffer.from(key, 'base64'), format: 'der', type: 'spki' })
  } catch (cause) {
    throw new AuthError('bad_key', 'The public key is neither PEM nor base64 of a DER public key', { cause })
  }
  return bindAlgorithm(imported, algorithm)
}

/** Gives a public key the algorithm that its type allows; refuses weak keys, other types and a contradicting algorithm. */
export function bindAlgorithm(key: KeyObject, algorithm?: string): VerificationKey {
  const bound = algorithmOf(key)
  if (algorithm !== undefined && algorithm !== bound.algorithm)
    throw new AuthError(
      'bad_key',
      `The public key is for ${bound.algorithm}, not for the configured algorithm`,
    )
  return bound
}

function algorithmOf(key: KeyObject): VerificationKey {
  const details = key.asymmetricKeyDetails ?? {}
  switch (key.asymmetricKeyType) {
    case 'rsa': {
      const bits = details.modulusLength ?? 0
      if (bits < 2048 || bits > 8192 || (details.publicExponent ?? 0n) < 3n)
        throw new AuthError('bad_key', 'An RSA key must have 2048 to 8192 bits and an exponent of at least 3')
      if (hasRocaFingerprint(modulusOf(key)))
        throw new AuthError(
          'bad_key',
          'The RSA key was made by a broken generator (ROCA) and can be factored',
        )
      return { algorithm: 'RS256', key, signatureBytes: Math.ceil(bits / 8) }
    }
    case 'ec':
      if (details.namedCurve !== 'prime256v1') throw new AuthError('bad_key', 'An EC key must be on P-256')
      return { algorithm: 'ES256', key, signatureBytes: 64 }
    case 'ed25519':
      return { algorithm: 'EdDSA', key, signatureBytes: 64 }
    default:
      throw new AuthError('bad_key', 'A public key must be RSA, EC on P-256 or Ed25519')
  }
}

function modulusOf(key: KeyObject): bigint {
  const { n = '' } = key.export({ format: 'jwk' })
  return BigInt(`0x${Buffer.from(n, 'base64url').toString('hex')}`)
}

function isRepetition(text: string): boolean {
  const unit = (text + text).indexOf(text, 1)
  return unit <= text.length / 2
}
