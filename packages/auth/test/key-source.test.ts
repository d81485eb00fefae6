import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { AuthError, createTokenVerifier, type KeySource } from '../src/index.ts'
import { makeCertificate } from './make-certificate.ts'
import { claims, ec, makeToken, now, pem, rsa, secret, signers } from './make-token.ts'

const hs = (more: object = {}): KeySource => ({ kind: 'secret', secret, ...more })
const rs = (more: object = {}): KeySource => ({ kind: 'public-key', key: pem(rsa.publicKey), ...more })
const keycloak = (more: object = {}): KeySource => ({
  kind: 'keycloak',
  url: 'http://localhost:1',
  realm: 'play',
  lazy: true,
  ...more,
})

function failure(...keys: readonly KeySource[]): string {
  try {
    void createTokenVerifier({ keys }).close()
    return 'created'
  } catch (error) {
    return error instanceof AuthError && !error.message.includes('\n') ? error.code : 'another error'
  }
}

const small = generateKeyPairSync('rsa', { modulusLength: 1024 })
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
const x25519 = generateKeyPairSync('x25519')

describe('a configuration that is refused in one line', () => {
  it.each([
    ['no keys', [], 'no_keys'],
    ['a secret of 31 bytes', [hs({ secret: 'x'.repeat(15) + 'abcdefghijklmnop' })], 'weak_secret'],
    ['an empty secret', [hs({ secret: '' })], 'weak_secret'],
    ['changeme, repeated', [hs({ secret: 'changeme'.repeat(5) })], 'weak_secret'],
    ['a secret of few characters', [hs({ secret: `${'ab'.repeat(20)}c` })], 'weak_secret'],
    [
      'the secret of a well-known web page',
      [hs({ secret: 'a-string-secret-at-least-256-bits-long' })],
      'weak_secret',
    ],
    ['a public key as a secret', [hs({ secret: pem(rsa.publicKey) })], 'weak_secret'],
    ['a key that is no key', [rs({ key: 'not a key' })], 'bad_key'],
    ['an empty key', [rs({ key: '' })], 'bad_key'],
    ['a private key', [rs({ key: rsa.privateKey.export({ format: 'pem', type: 'pkcs8' }) })], 'bad_key'],
    ['RSA of 1024 bits', [rs({ key: pem(small.publicKey) })], 'bad_key'],
    ['EC on another curve', [rs({ key: pem(p384.publicKey) })], 'bad_key'],
    ['a key that cannot sign', [rs({ key: pem(x25519.publicKey) })], 'bad_key'],
    ['an algorithm that is not the key’s', [rs({ key: pem(ec.publicKey), algorithm: 'RS256' })], 'bad_key'],
    ['a secret and a public key for the same tokens', [hs(), rs()], 'ambiguous_keys'],
    ['overlapping presence of kid', [hs({ tokens: 'without-kid' }), keycloak()], 'ambiguous_keys'],
    ['the same kid twice', [hs({ keyId: 'a' }), rs({ keyId: 'a' })], 'ambiguous_keys'],
    [
      'one kid and all tokens with kid',
      [hs({ keyId: 'a' }), keycloak({ tokens: 'with-kid' })],
      'ambiguous_keys',
    ],
    ['a kid for tokens without', [hs({ keyId: 'a', tokens: 'without-kid' })], 'ambiguous_keys'],
    ['one bound issuer and one not', [hs({ issuer: 'a' }), rs()], 'ambiguous_keys'],
    ['the same issuer twice', [hs({ issuer: 'a' }), rs({ issuer: 'a' })], 'ambiguous_keys'],
    ['http to another host', [keycloak({ url: 'http://idp.example' })], 'insecure_url'],
    ['another scheme', [{ kind: 'jwks', url: 'file:///etc/keys' }], 'insecure_url'],
    ['a relative URL', [{ kind: 'jwks', url: '/jwks' }], 'bad_option'],
    ['credentials in the URL', [{ kind: 'jwks', url: 'https://u:p@idp.example/jwks' }], 'bad_option'],
    ['an empty realm', [keycloak({ realm: '' })], 'bad_option'],
    ['a deadline of nothing', [keycloak({ timeoutMs: 0 })], 'bad_option'],
    ['a refresh all the time', [keycloak({ refreshMs: 0.001 })], 'bad_option'],
  ] satisfies [string, KeySource[], string][])('%s', (_name, keys, code) => {
    expect(failure(...keys)).toBe(code)
  })

  it('numbers and names that cannot be meant', () => {
    for (const options of [{ clockSkewMs: -1 }, { maxLifetimeMs: NaN }, { issuer: '' }, { audience: [] }])
      expect(() => createTokenVerifier({ keys: [hs()], ...options })).toThrow(AuthError)
  })
})

describe('several sources', () => {
  it.each([
    [
      'a secret for tokens without kid, Keycloak for the others',
      [hs({ tokens: 'without-kid' }), keycloak({ tokens: 'with-kid' })],
    ],
    ['two secrets by kid', [hs({ keyId: 'a' }), hs({ keyId: 'b' })]],
    ['issuer by issuer', [hs({ issuer: 'a' }), rs({ issuer: 'b' })]],
    [
      'http inside a private network, when allowed',
      [keycloak({ url: 'http://keycloak:8080', allowHttp: true })],
    ],
    ['a key of a certain kid beside tokens without', [rs({ keyId: 'a' }), hs({ tokens: 'without-kid' })]],
  ] satisfies [string, KeySource[]][])('may be %s', (_name, keys) => {
    expect(failure(...keys)).toBe('created')
  })

  it('are chosen by issuer and kid, never by alg', async () => {
    const verifier = createTokenVerifier({
      keys: [hs({ issuer: 'a' }), rs({ issuer: 'b', keyId: 'k' })],
      now,
    })
    const outcome = async (
      iss: string | undefined,
      alg: 'HS256' | 'RS256',
      kid?: string,
    ): Promise<string> => {
      const header = kid === undefined ? { alg } : { alg, kid }
      const result = await verifier.verifyToken(
        makeToken({ header, payload: { ...claims, iss }, sign: signers[alg] }),
      )
      return result.ok ? 'ok' : result.code
    }
    expect(await outcome('a', 'HS256')).toBe('ok')
    expect(await outcome('b', 'RS256', 'k')).toBe('ok')
    expect(await outcome('b', 'HS256', 'k')).toBe('algorithm_not_allowed')
    expect(await outcome('a', 'RS256')).toBe('algorithm_not_allowed')
    expect(await outcome('b', 'RS256')).toBe('key_unknown')
    expect(await outcome('c', 'HS256')).toBe('key_unknown')
    expect(await outcome(undefined, 'HS256')).toBe('key_unknown')
  })
})

it('a certificate is a public key too', async () => {
  const x5c = makeCertificate(rsa.publicKey, rsa.privateKey)
  const certificate = `-----BEGIN CERTIFICATE-----\n${x5c}\n-----END CERTIFICATE-----`
  const verifier = createTokenVerifier({ keys: [rs({ key: certificate })], now })
  const token = makeToken({ header: { alg: 'RS256' }, sign: signers.RS256 })
  expect(await verifier.verifyToken(token)).toMatchObject({ ok: true })
  // Some providers publish nothing but the certificate.
  const remote = createTokenVerifier({
    keys: [{ kind: 'jwks', url: 'https://idp.example/jwks' }],
    fetch: () => Promise.resolve(Response.json({ keys: [{ kid: 'c', x5c: [x5c] }] })),
    now,
  })
  const withKid = makeToken({ header: { alg: 'RS256', kid: 'c' }, sign: signers.RS256 })
  expect(await remote.verifyToken(withKid)).toMatchObject({ ok: true })
  await remote.close()
})
