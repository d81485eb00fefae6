import { createPublicKey, createSecretKey, type JsonWebKey } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { extractClaims } from '../src/index.ts'
import { parseToken } from '../src/parsed-token.ts'
import { bindAlgorithm, isSignatureValid, type VerificationKey } from '../src/verification-key.ts'

// The published examples: RFC 7515 appendix A.1-A.3 (one payload, of 2011), RFC 7520 §4.1 and §4.4 (the algorithms we
// take, in compact form; its payload is a sentence, so no token) and RFC 8037 appendix A.4.
const payload =
  'eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ'

const hmacKey: VerificationKey = {
  algorithm: 'HS256',
  signatureBytes: 32,
  key: createSecretKey(
    Buffer.from(
      'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow',
      'base64url',
    ),
  ),
}

const publicKey = (jwk: JsonWebKey): VerificationKey =>
  bindAlgorithm(createPublicKey({ key: jwk, format: 'jwk' }))

const ecKey = publicKey({
  kty: 'EC',
  crv: 'P-256',
  x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
  y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
})

const rsaKey = publicKey({
  kty: 'RSA',
  n: 'ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ',
  e: 'AQAB',
})

const edKey = publicKey({ kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' })

describe('RFC 7515', () => {
  const hmac = `eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.${payload}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk`
  const ecdsa = `eyJhbGciOiJFUzI1NiJ9.${payload}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q`

  const rsa = `eyJhbGciOiJSUzI1NiJ9.${payload}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw`

  it.each([
    ['A.1 HS256', hmac, hmacKey],
    ['A.2 RS256', rsa, rsaKey],
    ['A.3 ES256', ecdsa, ecKey],
  ])('%s verifies, and no other text does', (_name, token, key) => {
    const parsed = parseToken(token)
    const { signingInput, signature, algorithm } = parsed.ok ? parsed.value : expect.unreachable(token)
    expect(algorithm).toBe(key.algorithm)
    expect(isSignatureValid(key, signingInput, signature)).toBe(true)
    expect(isSignatureValid(key, `${signingInput}A`, signature)).toBe(false)
    for (let bit = 0; bit < signature.length * 8; bit += 5) {
      const flipped = Buffer.from(signature)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(isSignatureValid(key, signingInput, flipped)).toBe(false)
    }
  })

  it('A.1: the claims can be read; the token is over since 2011', () => {
    expect(extractClaims(hmac)).toEqual({ iss: 'joe', exp: 1_300_819_380 })
  })

  it('A.5: an unsecured token is none', () => {
    expect(parseToken(`eyJhbGciOiJub25lIn0.${payload}.`)).toEqual({ ok: false, code: 'token_malformed' })
  })
})

describe('RFC 7520', () => {
  const sentence =
    'SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4'
  const bilbosKey = publicKey({
    kty: 'RSA',
    n: 'n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw',
    e: 'AQAB',
  })
  const sharedKey: VerificationKey = {
    algorithm: 'HS256',
    signatureBytes: 32,
    key: createSecretKey(Buffer.from('hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg', 'base64url')),
  }

  it.each([
    [
      '4.1 RS256',
      [
        'eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9',
        'MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg',
      ],
      bilbosKey,
    ],
    [
      '4.4 HS256',
      [
        'eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9',
        's0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0',
      ],
      sharedKey,
    ],
  ] as const)(
    '%s verifies, with no other key or text; as a token it is none',
    (_name, [header, signature], key) => {
      const bytes = Buffer.from(signature, 'base64url')
      expect(isSignatureValid(key, `${header}.${sentence}`, bytes)).toBe(true)
      expect(isSignatureValid(key, `${header}.${sentence}A`, bytes)).toBe(false)
      expect(isSignatureValid(key === sharedKey ? hmacKey : rsaKey, `${header}.${sentence}`, bytes)).toBe(
        false,
      )
      expect(parseToken(`${header}.${sentence}.${signature}`)).toEqual({ ok: false, code: 'token_malformed' })
    },
  )
})

it('RFC 8037 A.4: EdDSA verifies', () => {
  const signingInput = 'eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc'
  const signature = Buffer.from(
    'hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg',
    'base64url',
  )
  expect(isSignatureValid(edKey, signingInput, signature)).toBe(true)
  expect(isSignatureValid(edKey, signingInput.replace('RX', 'RY'), signature)).toBe(false)
})

describe('ECDSA signatures that are no signatures', () => {
  const order = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex')
  const zero = Buffer.alloc(32)
  const one = Buffer.alloc(32, 0).fill(1, 31)
  it.each([
    ['r = 0, s = 0', zero, zero],
    ['r = 0, s = 1', zero, one],
    ['r = 1, s = 0', one, zero],
    ['r = n, s = n', order, order],
    ['r = n, s = 1', order, one],
    ['r = 1, s = n', one, order],
  ])('%s', (_name, r, s) => {
    for (const text of ['', 'a.b', payload])
      expect(isSignatureValid(ecKey, text, Buffer.concat([r, s]))).toBe(false)
  })
})
