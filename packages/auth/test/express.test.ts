import { request } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { optionalAuth, requireAuth, requireRole, requireScope } from '../src/express.ts'
import { createTokenVerifier, extractBearer } from '../src/index.ts'
import { claims, makeToken, now, secret, signers } from './make-token.ts'

const verifier = createTokenVerifier({ keys: [{ kind: 'secret', secret }], now })
const unreachable = createTokenVerifier({
  keys: [{ kind: 'jwks', url: 'https://idp.example/jwks', lazy: true }],
  fetch: () => Promise.reject(new Error('no network')),
})
const refusals: string[] = []

function createApp(): express.Express {
  const app = express()
  const auth = requireAuth(verifier, {
    realm: 'play "money"',
    onRefused: (refusal) => refusals.push(refusal),
  })
  app.get(
    '/me',
    auth,
    (req, res) => void res.json({ subject: req.auth?.subject, username: req.auth?.username }),
  )
  app.get(
    '/maybe',
    optionalAuth(verifier),
    (req, res) => void res.json({ subject: req.auth?.subject ?? null }),
  )
  app.get('/write', auth, requireScope(['read', 'write']), (_req, res) => void res.json('written'))
  app.get('/admin', auth, requireRole(['admin', 'root']), (_req, res) => void res.json('hello'))
  app.get('/naked', requireScope('read'), (_req, res) => void res.json('never'))
  app.get('/down', requireAuth(unreachable), (_req, res) => void res.json('never'))
  app.get(
    '/down-503',
    requireAuth(unreachable, { whenKeysUnavailable: 503 }),
    (_req, res) => void res.json('never'),
  )
  const broken = { verifyToken: () => Promise.reject(new Error('broken')) }
  app.get('/broken', requireAuth(broken), (_req, res) => void res.json('never'))
  return app
}

interface Reply {
  readonly status: number | undefined
  readonly body: unknown
  readonly challenge: string | undefined
  readonly retryAfter: string | undefined
}

let port = 0
let stop: () => void
beforeAll(async () => {
  const server = createApp().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  port = (server.address() as AddressInfo).port
  stop = () => server.close()
})
afterAll(() => stop())

/** Headers as a flat list, because two of one name are to be sent. */
function get(path: string, headers: string[] = []): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { host: '127.0.0.1', port, path, headers: ['Host', 'x', ...headers] },
      (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        response.on('end', () => {
          const { statusCode, headers: received } = response
          const body: unknown = received['content-type']?.startsWith('application/json')
            ? JSON.parse(text)
            : text
          resolve({
            status: statusCode,
            body,
            challenge: received['www-authenticate'],
            retryAfter: received['retry-after'],
          })
        })
      },
    )
    outgoing.on('error', reject).end()
  })
}

const bearer = (token: string): string[] => ['Authorization', `Bearer ${token}`]
const withClaims = (more: object): string => makeToken({ payload: { ...claims, ...more } })
const denied = (message: string): object => ({ code: 'auth_denied', message })
const realm = String.raw`Bearer realm="play \"money\""`

describe('requireAuth', () => {
  it('sets req.auth', async () => {
    const reply = await get('/me', bearer(withClaims({ username: 'Ann' })))
    expect(reply).toMatchObject({ status: 200, body: { subject: 'u1', username: 'Ann' } })
  })

  it.each([
    ['no header', []],
    ['an empty header', ['Authorization', '']],
    ['a scheme alone', ['Authorization', 'Bearer']],
    ['a scheme and blanks', ['Authorization', 'Bearer   ']],
    ['another scheme', ['Authorization', 'Basic dTpw']],
    ['a scheme that only starts like ours', ['Authorization', 'Bearerx abc']],
  ])('answers 401 and a bare challenge to %s', async (_name, headers) => {
    expect(await get('/me', headers)).toMatchObject({
      status: 401,
      body: denied('Missing bearer token'),
      challenge: realm,
    })
  })

  it('says what is wrong with a token, but not to the byte', async () => {
    const invalid = (description: string): string =>
      `${realm}, error="invalid_token", error_description="${description}"`
    expect(await get('/me', bearer('rubbish'))).toMatchObject({ status: 401, body: denied('Invalid token') })
    expect(await get('/me', bearer(withClaims({ exp: claims.iat })))).toMatchObject({
      status: 401,
      body: denied('Invalid token'),
      challenge: invalid('The token has expired'),
    })
    expect(await get('/me', bearer(withClaims({ sub: undefined })))).toMatchObject({
      status: 401,
      body: denied('Missing subject'),
      challenge: invalid('The token has no subject'),
    })
    expect(refusals.slice(-3)).toEqual(['token_malformed', 'expired', 'subject_missing'])
  })

  it('takes the scheme in any case and more than one space', async () => {
    expect(await get('/me', ['authorization', `bEARER  ${makeToken()}`])).toMatchObject({ status: 200 })
  })

  it('answers 400 to two Authorization headers, good as they may be', async () => {
    const token = makeToken()
    expect(await get('/me', [...bearer(token), ...bearer(token)])).toMatchObject({
      status: 400,
      body: { code: 'invalid_request', message: 'More than one Authorization header' },
      challenge: `${realm}, error="invalid_request"`,
    })
  })

  it('answers 401 when the keys cannot be had, or 503 where that is wanted', async () => {
    const token = makeToken({ header: { alg: 'RS256', kid: 'a' }, sign: signers.RS256 })
    expect(await get('/down', bearer(token))).toMatchObject({ status: 401, body: denied('Invalid token') })
    expect(await get('/down-503', bearer(token))).toMatchObject({
      status: 503,
      body: { code: 'auth_unavailable', message: 'Authentication unavailable' },
      retryAfter: '5',
    })
  })

  it('hands a broken verifier to the error handler', async () => {
    expect(await get('/broken', bearer(makeToken()))).toMatchObject({ status: 500 })
  })
})

describe('optionalAuth', () => {
  it('lets a request without a token on, and refuses a bad one', async () => {
    expect(await get('/maybe')).toMatchObject({ status: 200, body: { subject: null } })
    expect(await get('/maybe', bearer(makeToken()))).toMatchObject({ status: 200, body: { subject: 'u1' } })
    expect(await get('/maybe', bearer('x'))).toMatchObject({ status: 401, body: denied('Invalid token') })
  })
})

describe('requireScope and requireRole', () => {
  it('want all scopes', async () => {
    expect(await get('/write', bearer(withClaims({ scope: 'write read' })))).toMatchObject({ status: 200 })
    expect(await get('/write', bearer(withClaims({ scope: 'write' })))).toMatchObject({
      status: 403,
      body: { code: 'forbidden', message: 'Insufficient scope' },
      challenge: `${realm.replace(String.raw`play \"money\"`, 'api')}, error="insufficient_scope", scope="read write"`,
    })
  })

  it('want one of the roles', async () => {
    expect(await get('/admin', bearer(withClaims({ realm_access: { roles: ['root'] } })))).toMatchObject({
      status: 200,
    })
    expect(await get('/admin', bearer(withClaims({ roles: ['rooted'] })))).toMatchObject({
      status: 403,
      body: { code: 'forbidden', message: 'Insufficient role' },
    })
  })

  it('refuse a request that nobody authenticated', async () => {
    expect(await get('/naked', bearer(withClaims({ scope: 'read' })))).toMatchObject({ status: 401 })
  })
})

it('extractBearer sees what Node folds away', () => {
  const rawHeaders = ['authorization', 'Bearer a', 'Authorization', 'Bearer b']
  expect(extractBearer({ rawHeaders })).toEqual({ ok: false, reason: 'conflict' })
  expect(extractBearer({ rawHeaders: rawHeaders.slice(0, 2) })).toEqual({ ok: true, token: 'a' })
})
