import { createHmac } from 'node:crypto'
import { expect, test } from 'vitest'
import { devToken } from '../lib/dev-token.ts'

function decode(part = ''): unknown {
  return JSON.parse(Buffer.from(part, 'base64url').toString())
}

test('a token names its user, lives twelve hours, and is signed with HS256', () => {
  const token = devToken({ user: 'alice', secret: 's'.repeat(32), now: 1000 })
  const [header, claims, signature] = token.split('.')
  expect(decode(header)).toEqual({ alg: 'HS256', typ: 'JWT' })
  expect(decode(claims)).toEqual({ sub: 'alice', preferred_username: 'alice', iat: 1000, exp: 44_200 })
  expect(signature).toBe(
    createHmac('sha256', 's'.repeat(32)).update(`${header}.${claims}`).digest('base64url'),
  )
})

test('issuer and audience are in the token when the gateway expects them', () => {
  const token = devToken({
    user: 'bob',
    secret: 'x',
    now: 0,
    issuer: 'https://id.example',
    audience: 'gateway',
  })
  expect(decode(token.split('.')[1])).toMatchObject({ iss: 'https://id.example', aud: 'gateway' })
})
