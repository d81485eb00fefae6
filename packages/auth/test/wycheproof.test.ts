/**
 * The JWS vectors of Wycheproof, on all that a token passes but its claims: no vector's payload is JSON, so that as
 * tokens they are all refused anyway. `fixtures/wycheproof/README.md` says where they are from.
 */
import { createHash, createSecretKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { decodeCanonical } from '../src/base64url.ts'
import { AuthError, createTokenVerifier, type KeySource } from '../src/index.ts'
import { parseJwks } from '../src/key-set-document.ts'
import { parseHeader } from '../src/parsed-token.ts'
import { isJsonObject, type JsonObject } from '../src/strict-json.ts'
import { checkSignature, importSecret, type VerificationKey } from '../src/verification-key.ts'
import { encode, hmacWith, nowMs, nowS } from './make-token.ts'

interface Vector {
  readonly tcId: number
  readonly comment: string
  readonly jws: string
  readonly result: 'valid' | 'invalid'
}

interface Group {
  readonly comment: string
  /** A key, or a set of keys; symmetric ones have no public half. */
  readonly public?: JsonObject
  readonly private: JsonObject
  readonly tests: readonly Vector[]
}

const folder = new URL('fixtures/wycheproof/', import.meta.url)
const read = (name: string): string => readFileSync(new URL(name, folder), 'utf8')
const groupsOf = (name: string): readonly Group[] => JSON.parse(read(name)).testGroups

const signatures = groupsOf('json_web_signature_test.json')
const keySets = groupsOf('json_web_key_test.json')

function keysOf(group: Group): readonly JsonObject[] {
  const jwk = group.public ?? group.private
  const { keys } = jwk
  return Array.isArray(keys) ? keys.filter(isJsonObject) : [jwk]
}

/** The secret of a group with one symmetric key for HS256. */
function secretOf(group: Group): Buffer | undefined {
  const [jwk, ...more] = keysOf(group)
  if (jwk?.['kty'] !== 'oct' || more.length > 0 || jwk['alg'] !== 'HS256') return undefined
  return Buffer.from(String(jwk['k']), 'base64url')
}

/** The key for a `kid`, as a verifier gets it: from the set, or from the configured secret. */
function keyFor(group: Group, keyId: string | undefined): VerificationKey | string {
  const secret = secretOf(group)
  if (secret?.every((byte) => byte === 0) && secret.length === 32)
    // Refused as too easy to guess; taken here for the sake of the encodings that are tried with it.
    return { algorithm: 'HS256', key: createSecretKey(secret), signatureBytes: 32 }
  try {
    if (secret) return importSecret(secret)
  } catch (error) {
    return error instanceof AuthError ? error.code : String(error)
  }
  const document = parseJwks({ keys: keysOf(group) })
  return typeof document === 'string' ? document : (document.keys.get(keyId ?? '') ?? 'key_unknown')
}

function outcome(group: Group, { jws }: Vector): string {
  const [header = '', payload = '', signature = '', ...more] = jws.split('.')
  const bytes = decodeCanonical(signature)
  if (more.length > 0 || decodeCanonical(payload) === undefined || bytes === undefined) return 'malformed'
  const parsed = parseHeader(header)
  if (!parsed.ok) return parsed.code
  const { algorithm, keyId } = parsed.value
  const key = keyFor(group, keyId)
  if (typeof key === 'string') return key
  return checkSignature(key, { algorithm, signingInput: `${header}.${payload}`, signature: bytes }) ?? 'ok'
}

/** Ids of vectors by what became of them. */
function sort(groups: readonly Group[], result: Vector['result']): Record<string, number[]> {
  const ids: Record<string, number[]> = {}
  for (const group of groups)
    for (const vector of group.tests)
      if (vector.result === result) (ids[outcome(group, vector)] ??= []).push(vector.tcId)
  return ids
}

describe('Wycheproof', () => {
  it.each(['json_web_signature_test.json', 'json_web_key_test.json'])('%s is as it was published', (name) => {
    expect(read('README.md')).toContain(createHash('sha256').update(read(name)).digest('hex'))
  })

  it('none of the 355 invalid signatures and 21 invalid keys is accepted', () => {
    const refused = [sort(signatures, 'invalid'), sort(keySets, 'invalid')]
    // Two were published without the padding that they are about, and equal valid 357 byte for byte.
    expect(refused.map((ids) => ids['ok'])).toEqual([[367, 370], undefined])
    const twins = signatures
      .flatMap(({ tests }) => tests)
      .filter(({ tcId }) => [357, 367, 370].includes(tcId))
    expect(new Set(twins.map(({ jws }) => jws)).size).toBe(1)
    expect(refused.map((ids) => Object.values(ids).flat().length)).toEqual([355, 21])
    // Most of them for their signature, so that it was really looked at.
    expect(refused[0]?.['signature_invalid']?.length).toBeGreaterThan(240)
  })

  it('the valid signatures of our algorithms are accepted', () => {
    const { ok, malformed, token_malformed: header, ...others } = sort(signatures, 'valid')
    expect(ok).toEqual([1, 18, 33, 260, 261, 262, 263, 345, 348, 349, 352, 357, 358, 359, 376, 377, 378])
    // An empty payload is none of a token; stray characters in base64 that the vectors let pass are more than we do.
    expect(malformed).toEqual([259, 264, 268, 272, 320, 325, 373])
    expect(header).toEqual([372])
    // RS384, RS512, PS256 and others, which we don't take.
    expect(Object.keys(others)).toEqual(['no_usable_keys'])
    expect(sort(keySets, 'valid')).toEqual({ ok: [5, 13], no_usable_keys: [2, 14, 15] })
  })

  it('the verifier itself refuses every vector, and takes claims under the same secrets', async () => {
    const all = [...signatures, ...keySets]
    for (const group of all) {
      const verifier = createTokenVerifier({ keys: [sourceOf(group)], fetch: () => served(group) })
      for (const { jws } of group.tests) expect(await verifier.verifyToken(jws)).toMatchObject({ ok: false })
      await verifier.close()
    }
    const secrets = all.map(secretOf).filter((secret) => secret !== undefined && secret.length >= 32)
    for (const secret of secrets.filter((bytes) => new Set(bytes).size > 1)) {
      if (secret === undefined) continue
      const verifier = createTokenVerifier({ keys: [{ kind: 'secret', secret }], now: () => nowMs })
      const input = `${encode({ alg: 'HS256' })}.${encode({ sub: 'u1', exp: nowS + 60 })}`
      const token = `${input}.${hmacWith(secret)(input).toString('base64url')}`
      expect(await verifier.verifyToken(token)).toMatchObject({ ok: true })
    }
    expect(secrets.length).toBeGreaterThan(3)
  })
})

/** A good secret as a secret, anything else as a provider would serve it. */
function sourceOf(group: Group): KeySource {
  const secret = secretOf(group)
  return secret !== undefined && new Set(secret).size > 8 && secret.length >= 32
    ? { kind: 'secret', secret }
    : { kind: 'jwks', url: 'https://idp.example/keys', lazy: true }
}

function served(group: Group): Promise<Response> {
  return Promise.resolve(new Response(JSON.stringify({ keys: keysOf(group) })))
}
