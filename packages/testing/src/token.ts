import jwt from 'jsonwebtoken'

/** Claims of a test token: a subject and whatever else the test is about. */
export interface TestClaims {
  readonly sub?: string
  readonly [claim: string]: unknown
}

/** A signed JWT: HS256 and 15 minutes unless `options` or the claims (`exp`) say otherwise. */
export function signToken(claims: TestClaims, secret: jwt.Secret, options: jwt.SignOptions = {}): string {
  const expiry: jwt.SignOptions = 'exp' in claims ? {} : { expiresIn: '15m' }
  return jwt.sign({ ...claims }, secret, { algorithm: 'HS256', ...expiry, ...options })
}
