import jwt from 'jsonwebtoken'
import { describe, expect, it } from 'vitest'
import { createTokenVerifier, type KeySource, type TokenVerifierOptions } from '../src/index.ts'
import {
  bareBase64,
  claims,
  ec,
  ed,
  encode,
  hmacWith,
  makeToken,
  now,
  nowMs,
  nowS,
  pem,
  rsa,
  secret,
  signers,
} from './make-token.ts'

const hs: KeySource = { kind: 'secret', secret }

async function outcome(token: string, options: Partial<TokenVerifierOptions> = {}): Promise<string> {
  const verifier = createTokenVerifier({ keys: [hs], now, ...options })
  const result = await verifier.verifyToken(token)
  const again = await verifier.verifyToken(token)
  expect(again).toEqual(result)
  await verifier.close()
  return result.ok ? 'ok' : result.code
}

const withClaims = (more: object): string => makeToken({ payload: { ...claims, ...more } })
const withHeader = (more: object): string => makeToken({ header: { alg: 'HS256', typ: 'JWT', ...more } })
const good = makeToken()
const [goodHeader = '', goodPayload = '', goodSignature = ''] = good.split('.')

describe('a hostile token is refused with its own code', () => {
  const rows: [name: string, token: string, code: string, options?: Partial<TokenVerifierOptions>][] = [
    ['no exp', withClaims({ exp: undefined }), 'exp_missing'],
    ['exp 1e300', makeToken({ payload: `{"sub":"u1","exp":1e300}` }), 'claim_invalid'],
    ['exp beyond the number range', makeToken({ payload: `{"sub":"u1","exp":1e999}` }), 'claim_invalid'],
    ['exp a string', withClaims({ exp: String(nowS + 60) }), 'claim_invalid'],
    ['exp null', withClaims({ exp: null }), 'claim_invalid'],
    ['exp negative', withClaims({ exp: -1 }), 'claim_invalid'],
    ['exp now', withClaims({ exp: nowS }), 'expired'],
    ['exp a second ago', withClaims({ exp: nowS - 1 }), 'expired'],
    ['a life of 25 hours', withClaims({ iat: nowS, exp: nowS + 25 * 3600 }), 'lifetime_too_long'],
    ['25 hours left and no iat', withClaims({ iat: undefined, exp: nowS + 25 * 3600 }), 'lifetime_too_long'],
    ['iat a year ahead', withClaims({ iat: nowS + 31_536_000, exp: nowS + 31_536_060 }), 'issued_in_future'],
    ['iat beyond the skew', withClaims({ iat: nowS + 31 }), 'issued_in_future'],
    ['iat a string', withClaims({ iat: 'today' }), 'claim_invalid'],
    ['nbf a minute ahead', withClaims({ nbf: nowS + 60 }), 'not_yet_valid'],
    ['nbf an object', withClaims({ nbf: {} }), 'claim_invalid'],
    ['crit with an unknown name', withHeader({ crit: ['x-foo'], 'x-foo': 1 }), 'header_not_allowed'],
    ['crit empty', withHeader({ crit: [] }), 'header_not_allowed'],
    ['b64 false with crit', withHeader({ crit: ['b64'], b64: false }), 'header_not_allowed'],
    ['b64 false alone', withHeader({ b64: false }), 'header_not_allowed'],
    ['jku', withHeader({ jku: 'http://127.0.0.1:1/keys' }), 'header_not_allowed'],
    ['x5u', withHeader({ x5u: 'http://127.0.0.1:1/cert' }), 'header_not_allowed'],
    ['x5c', withHeader({ x5c: ['MIIB'] }), 'header_not_allowed'],
    ['jwk', withHeader({ jwk: { kty: 'oct', k: encode(secret) } }), 'header_not_allowed'],
    ['zip', withHeader({ zip: 'DEF' }), 'header_not_allowed'],
    ['enc', withHeader({ enc: 'A128GCM' }), 'header_not_allowed'],
    ['cty of a nested token', withHeader({ cty: 'JWT' }), 'header_not_allowed'],
    ['alg twice', makeToken({ header: '{"alg":"none","alg":"HS256"}' }), 'duplicate_member'],
    [
      'alg twice by an escape',
      makeToken({ header: String.raw`{"alg":"none","\u0061lg":"HS256"}` }),
      'duplicate_member',
    ],
    ['sub twice', makeToken({ payload: `{"sub":"a","sub":"b","exp":${nowS + 60}}` }), 'duplicate_member'],
    [
      'a nested name twice',
      makeToken({ payload: `{"sub":"a","o":{"x":1,"x":2},"exp":${nowS + 60}}` }),
      'duplicate_member',
    ],
    [
      '__proto__ claim',
      makeToken({ payload: `{"sub":"a","__proto__":{"x":1},"exp":${nowS + 60}}` }),
      'forbidden_member',
    ],
    [
      '__proto__ nested',
      makeToken({ payload: `{"sub":"a","o":[{"__proto__":1}],"exp":${nowS + 60}}` }),
      'forbidden_member',
    ],
    ['alg none without signature', `${encode({ alg: 'none' })}.${goodPayload}.`, 'token_malformed'],
    ['alg none with signature', makeToken({ header: { alg: 'none' } }), 'algorithm_not_allowed'],
    ['alg nOnE', makeToken({ header: { alg: 'nOnE' } }), 'algorithm_not_allowed'],
    ['alg HS512', makeToken({ header: { alg: 'HS512' } }), 'algorithm_not_allowed'],
    ['alg missing', makeToken({ header: { typ: 'JWT' } }), 'token_malformed'],
    ['alg an array', makeToken({ header: { alg: ['HS256'] } }), 'token_malformed'],
    ['HMAC with an empty key', makeToken({ sign: hmacWith('') }), 'signature_invalid'],
    ['HMAC with another key', makeToken({ sign: hmacWith(`${secret}x`) }), 'signature_invalid'],
    ['a cut signature', `${goodHeader}.${goodPayload}.${goodSignature.slice(0, 22)}`, 'token_malformed'],
    [
      'a short signature',
      makeToken({ sign: (input) => signers.HS256(input).subarray(0, 30) }),
      'signature_invalid',
    ],
    ['header typ ID', withHeader({ typ: 'ID' }), 'type_not_allowed'],
    ['header typ logout+jwt', withHeader({ typ: 'logout+jwt' }), 'type_not_allowed'],
    ['header typ a number', withHeader({ typ: 1 }), 'type_not_allowed'],
    ['claim typ ID', withClaims({ typ: 'ID' }), 'type_not_allowed'],
    ['claim typ Refresh', withClaims({ typ: 'Refresh' }), 'type_not_allowed'],
    ['claim typ null', withClaims({ typ: null }), 'type_not_allowed'],
    ['an ID token by at_hash', withClaims({ at_hash: 'x' }), 'type_not_allowed'],
    ['a logout token by events', withClaims({ events: {} }), 'type_not_allowed'],
    ['no aud where one is configured', good, 'audience_mismatch', { audience: 'gw' }],
    ['another aud and azp', withClaims({ aud: ['x'], azp: 'y' }), 'audience_mismatch', { audience: 'gw' }],
    ['aud an object', withClaims({ aud: { gw: 1 } }), 'audience_mismatch', { audience: 'gw' }],
    ['no sub', withClaims({ sub: undefined }), 'subject_missing'],
    ['sub empty', withClaims({ sub: '' }), 'subject_missing'],
    ['sub blank', withClaims({ sub: '  ' }), 'subject_invalid'],
    ['sub an object', withClaims({ sub: {} }), 'subject_invalid'],
    ['sub a number', withClaims({ sub: 7 }), 'subject_invalid'],
    ['sub of 256 characters', withClaims({ sub: 'x'.repeat(256) }), 'subject_invalid'],
    ['sub with a line break', withClaims({ sub: 'a\r\nb' }), 'subject_invalid'],
    [
      'sub with a lone surrogate',
      makeToken({ payload: String.raw`{"sub":"\ud800","exp":${nowS + 60}}` }),
      'subject_invalid',
    ],
    ['iss an array', withClaims({ iss: ['https://idp'] }), 'issuer_mismatch', { issuer: 'https://idp' }],
    [
      'iss with a suffix',
      withClaims({ iss: 'https://idp/evil' }),
      'issuer_mismatch',
      { issuer: 'https://idp' },
    ],
    ['iss missing', good, 'issuer_mismatch', { issuer: 'https://idp' }],
    ['1 MB', withClaims({ pad: 'x'.repeat(1_000_000) }), 'token_too_large'],
    ['one byte too many', good.padEnd(8193, 'A'), 'token_too_large'],
    ['a trailing line break', `${good}\n`, 'token_malformed'],
    ['a trailing =', `${good}=`, 'token_malformed'],
    ['a leading space', ` ${good}`, 'token_malformed'],
    ['four parts', `${good}.x`, 'token_malformed'],
    ['two parts', `${goodHeader}.${goodPayload}`, 'token_malformed'],
    ['an empty payload', `${goodHeader}..${goodSignature}`, 'token_malformed'],
    ['standard base64', good.replace(goodSignature, `${goodSignature.slice(0, -1)}+`), 'token_malformed'],
    ['nothing', '', 'token_missing'],
    ['a JSON array as payload', makeToken({ payload: '[1]' }), 'token_malformed'],
    ['a payload that is not JSON', makeToken({ payload: 'hello' }), 'token_malformed'],
    [
      'a payload with a BOM',
      makeToken({ payload: `\ufeff{"sub":"a","exp":${nowS + 60}}` }),
      'token_malformed',
    ],
    [
      'a payload nested 2 000 deep',
      makeToken({ payload: `{"a":${'['.repeat(2000)}${']'.repeat(2000)}}` }),
      'token_malformed',
    ],
    ['kid an object', withHeader({ kid: {} }), 'header_not_allowed'],
    ['kid null', withHeader({ kid: null }), 'header_not_allowed'],
    ['kid of 10 KB', withHeader({ kid: 'k'.repeat(5000) }), 'header_not_allowed'],
  ]
  for (const [name, token, code, options] of rows)
    it(`refused: ${name}`, async () => {
      expect(await outcome(token, options)).toBe(code)
    })

  it('a signature in a second, non-canonical spelling', async () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const last = alphabet.indexOf(good.slice(-1))
    const twin = good.slice(0, -1) + alphabet.charAt(last + 1)
    expect(Buffer.from(twin.split('.')[2] ?? '', 'base64url')).toEqual(
      Buffer.from(goodSignature, 'base64url'),
    )
    expect(await outcome(twin)).toBe('token_malformed')
  })

  it('bytes that are not UTF-8', async () => {
    const payload = Buffer.concat([
      Buffer.from('{"sub":"'),
      Buffer.from([0xff]),
      Buffer.from(`","exp":${nowS + 60}}`),
    ])
    const input = `${goodHeader}.${payload.toString('base64url')}`
    expect(await outcome(`${input}.${signers.HS256(input).toString('base64url')}`)).toBe('token_malformed')
  })

  const text = pem(rsa.publicKey)
  const spellings: [string, string | Buffer][] = [
    ['PEM', text],
    ['trimmed PEM', text.trim()],
    ['PEM with a leading space', ` ${text}`],
    ['DER', rsa.publicKey.export({ format: 'der', type: 'spki' })],
    ['bare base64', bareBase64(rsa.publicKey)],
    ['PKCS#1 PEM', rsa.publicKey.export({ format: 'pem', type: 'pkcs1' }).toString()],
  ]
  describe.each([
    ['a PEM key', text],
    ['a bare base64 key', bareBase64(rsa.publicKey)],
  ])('HS256 signed with the public key where %s is configured', (_name, key) => {
    it.each(spellings)('as %s', async (_spelling, hmacKey) => {
      const token = makeToken({ sign: hmacWith(hmacKey) })
      expect(await outcome(token, { keys: [{ kind: 'public-key', key }] })).toBe('algorithm_not_allowed')
    })
  })

  it('says nothing of the token in its message', async () => {
    const verifier = createTokenVerifier({ keys: [hs], now })
    for (const [, token] of rows) {
      const result = await verifier.verifyToken(token)
      const message = result.ok ? '' : result.message
      const leaked = token.split('.').filter((part) => part.length > 3 && message.includes(part))
      expect(leaked).toEqual([])
    }
  })
})

describe('a good token', () => {
  const keys: [string, KeySource, keyof typeof signers][] = [
    ['an HS256 secret', hs, 'HS256'],
    ['an HS256 secret in bytes', { kind: 'secret', secret: Buffer.from(secret) }, 'HS256'],
    ['an RSA key in PEM', { kind: 'public-key', key: pem(rsa.publicKey), algorithm: 'RS256' }, 'RS256'],
    [
      'an RSA key in one line',
      { kind: 'public-key', key: pem(rsa.publicKey).replaceAll('\n', String.raw`\n`) },
      'RS256',
    ],
    ['an RSA key in bare base64', { kind: 'public-key', key: bareBase64(rsa.publicKey) }, 'RS256'],
    ['an EC key', { kind: 'public-key', key: pem(ec.publicKey) }, 'ES256'],
    ['an Ed25519 key', { kind: 'public-key', key: pem(ed.publicKey), algorithm: 'EdDSA' }, 'EdDSA'],
  ]
  it.each(keys)('is accepted with %s', async (_name, key, alg) => {
    expect(
      await outcome(makeToken({ header: { alg, typ: 'JWT' }, sign: signers[alg] }), { keys: [key] }),
    ).toBe('ok')
  })

  it.each(['HS256', 'RS256', 'ES256', 'EdDSA'] as const)(
    'of %s is refused by keys of other algorithms',
    async (alg) => {
      const token = makeToken({ header: { alg }, sign: signers[alg] })
      for (const [, key] of keys.filter(([, , other]) => other !== alg))
        expect(await outcome(token, { keys: [key] })).toBe('algorithm_not_allowed')
    },
  )

  it('made by jsonwebtoken is accepted', async () => {
    const token = jwt.sign({ name: 'Zoë' }, secret, { subject: 'u1', expiresIn: 60 })
    const verifier = createTokenVerifier({ keys: [hs] })
    expect(await verifier.verifyToken(token)).toMatchObject({ ok: true, identity: { subject: 'u1' } })
  })

  it('becomes an identity', async () => {
    const token = withClaims({
      jti: 't1',
      sid: 's1',
      preferred_username: '  ',
      nickname: ' Ann ',
      email: 'a@b',
      scope: 'read  write',
      roles: ['x'],
      realm_access: { roles: ['admin', 'x', 7] },
      resource_access: { shop: { roles: ['buyer'] }, broken: 1 },
    })
    const result = await createTokenVerifier({ keys: [hs], now }).verifyToken(token)
    expect(result).toMatchObject({
      ok: true,
      identity: {
        subject: 'u1',
        username: 'Ann',
        tokenId: 't1',
        sessionId: 's1',
        issuedAtMs: nowMs - 10_000,
        expiresAtMs: nowMs + 600_000,
        scopes: ['read', 'write'],
        roles: ['x', 'admin', 'shop:buyer'],
        claims: { email: 'a@b', realm_access: { roles: ['admin', 'x', 7] } },
      },
    })
    const shared = result.ok ? result.identity.claims : {}
    expect(Object.isFrozen(shared)).toBe(true)
    expect(Object.isFrozen(shared['realm_access'])).toBe(true)
  })

  it.each([
    ['aud as text', { aud: 'gw' }],
    ['aud in a list', { aud: ['x', 'gw'] }],
    ['azp', { aud: 'account', azp: 'gw' }],
  ])('is for the configured audience by %s', async (_name, more) => {
    expect(await outcome(withClaims(more), { audience: 'gw' })).toBe('ok')
  })

  it('is accepted at the edges', async () => {
    expect(await outcome(withClaims({ iat: nowS + 30, nbf: nowS + 30, exp: nowS + 31 }))).toBe('ok')
    expect(await outcome(withClaims({ iat: nowS, exp: nowS + 86_400 }))).toBe('ok')
    expect(await outcome(withClaims({ exp: nowS - 29 }), { expirySkewMs: 30_000 })).toBe('ok')
    expect(await outcome(withClaims({ sub: '李雷'.repeat(127) }))).toBe('ok')
    expect(await outcome(withHeader({ typ: 'application/at+jwt' }))).toBe('ok')
    expect(await outcome(withHeader({ 'x-unknown': 1, x5t: 'abc' }))).toBe('ok')
    expect(await outcome(withClaims({ typ: 'Bearer', note: String.raw`":\":{"` }))).toBe('ok')
  })
})

describe('the cache', () => {
  it('never lets a token outlive its exp', async () => {
    let timeMs = nowMs
    const verifier = createTokenVerifier({ keys: [hs], now: () => timeMs })
    const token = withClaims({ exp: nowS + 5 })
    expect(await verifier.verifyToken(token)).toMatchObject({ ok: true })
    timeMs += 4999
    expect(await verifier.verifyToken(token)).toMatchObject({ ok: true })
    timeMs += 1
    expect(await verifier.verifyToken(token)).toMatchObject({ ok: false, code: 'expired' })
  })

  it('returns the same frozen identity, and works when it holds one token or none', async () => {
    const verifier = createTokenVerifier({ keys: [hs], now })
    const first = await verifier.verifyToken(good)
    expect(await verifier.verifyToken(good)).toBe(first)
    for (const cache of [false, { maxEntries: 1 }] as const) {
      const small = createTokenVerifier({ keys: [hs], now, cache })
      for (const sub of ['a', 'b', 'a', 'b'])
        expect(await small.verifyToken(withClaims({ sub }))).toMatchObject({
          ok: true,
          identity: { subject: sub },
        })
    }
  })
})
