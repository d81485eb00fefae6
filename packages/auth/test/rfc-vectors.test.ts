import { createPublicKey, createSecretKey, type JsonWebKey } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { extractClaims } from '../src/index.ts'
import { parseToken } from '../src/parsed-token.ts'
import { bindAlgorithm, isSignatureValid, type VerificationKey } from '../src/verification-key.ts'

// The published examples: RFC 7515 appendix A.1-A.3 (one payload, of 2011) and RFC 8037 appendix A.4.
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

const edKey = publicKey({ kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' })

describe('RFC 7515', () => {
  const hmac = `eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.${payload}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk`
  const ecdsa = `eyJhbGciOiJFUzI1NiJ9.${payload}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q`

  it.each([
    ['A.1 HS256', hmac, hmacKey],
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
