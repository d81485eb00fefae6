import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'

/** A secret and key pairs for tests, made anew in every run. */
export const secret = 'a test secret, quite long enough: 0123456789'
export const rsa: { publicKey: KeyObject; privateKey: KeyObject } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
})
export const ec: { publicKey: KeyObject; privateKey: KeyObject } = generateKeyPairSync('ec', {
  namedCurve: 'prime256v1',
})
export const ed: { publicKey: KeyObject; privateKey: KeyObject } = generateKeyPairSync('ed25519')

/** The instant at which the tests' clocks stand: 2026-11-23T12:00:00Z. */
export const nowMs: number = Date.UTC(2026, 10, 23, 12)
export const nowS: number = nowMs / 1000
export const now = (): number => nowMs

export function pem(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'spki' }).toString()
}

export function bareBase64(key: KeyObject): string {
  return key.export({ format: 'der', type: 'spki' }).toString('base64')
}

export function encode(part: unknown): string {
  return Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url')
}

export interface TokenParts {
  /** An object, or raw text for what JSON.stringify would not write. */
  readonly header?: unknown
  readonly payload?: unknown
  readonly sign?: (input: string) => Buffer
}

export const claims: { sub: string; iat: number; exp: number } = {
  sub: 'u1',
  iat: nowS - 10,
  exp: nowS + 600,
}

export const signers: Record<'HS256' | 'RS256' | 'ES256' | 'EdDSA', (input: string) => Buffer> = {
  HS256: hmacWith(secret),
  RS256: (input) => sign('sha256', Buffer.from(input), rsa.privateKey),
  ES256: (input) => sign('sha256', Buffer.from(input), { key: ec.privateKey, dsaEncoding: 'ieee-p1363' }),
  EdDSA: (input) => sign(null, Buffer.from(input), ed.privateKey),
}

export function hmacWith(key: string | Buffer): (input: string) => Buffer {
  return (input) => createHmac('sha256', key).update(input).digest()
}

export function rsaWith(key: KeyObject): (input: string) => Buffer {
  return (input) => sign('sha256', Buffer.from(input), key)
}

/** A token of any parts, signed with the tests' HS256 secret unless told otherwise. */
export function makeToken({
  header = { alg: 'HS256', typ: 'JWT' },
  payload = claims,
  sign,
}: TokenParts = {}): string {
  const input = `${encode(header)}.${encode(payload)}`
  return `${input}.${(sign ?? signers.HS256)(input).toString('base64url')}`
}
