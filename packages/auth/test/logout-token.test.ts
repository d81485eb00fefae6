import type { AddressInfo } from 'node:net'
import express from 'express'
import { describe, expect, it } from 'vitest'
import { logoutHandler } from '../src/express.ts'
import { createTokenVerifier, type TokenVerifier } from '../src/index.ts'
import { claims, hmacWith, makeToken, now, nowS, secret } from './make-token.ts'

const issuer = 'https://idp.example/realms/play'
const event = 'http://schemas.openid.net/event/backchannel-logout'
const logoutClaims = {
  iss: issuer,
  aud: 'gw',
  iat: nowS - 1,
  exp: nowS + 120,
  jti: 'j1',
  sub: 'u1',
  sid: 's1',
  events: { [event]: {} },
}
const header = { alg: 'HS256', typ: 'logout+jwt' }

function create(): TokenVerifier {
  return createTokenVerifier({ keys: [{ kind: 'secret', secret }], issuer, logoutAudience: 'gw', now })
}

function logoutToken(more: object = {}, sign?: (input: string) => Buffer): string {
  const payload = { ...logoutClaims, ...more }
  return makeToken(sign === undefined ? { header, payload } : { header, payload, sign })
}

const access = (more: object = {}): string =>
  makeToken({ payload: { ...claims, iss: issuer, sid: 's1', ...more } })

describe('a back-channel logout token', () => {
  it('ends its session, also for tokens that are issued a moment later', async () => {
    const verifier = create()
    expect(await verifier.acceptLogoutToken(logoutToken())).toMatchObject({
      ok: true,
      revocation: { kind: 'session', value: 's1' },
    })
    expect(await verifier.verifyToken(access({ iat: nowS + 5 }))).toMatchObject({ code: 'revoked' })
    expect(await verifier.verifyToken(access({ sid: 's2' }))).toMatchObject({ ok: true })
  })

  it('without a session ends all tokens of the subject issued until then', async () => {
    const verifier = create()
    expect(await verifier.acceptLogoutToken(logoutToken({ sid: undefined }))).toMatchObject({
      ok: true,
      revocation: { kind: 'subject' },
    })
    expect(await verifier.verifyToken(access({ iat: nowS - 1 }))).toMatchObject({ code: 'revoked' })
    expect(await verifier.verifyToken(access({ iat: nowS }))).toMatchObject({ ok: true })
  })

  it('counts once', async () => {
    const verifier = create()
    const token = logoutToken()
    expect(await verifier.acceptLogoutToken(token)).toMatchObject({ ok: true })
    expect(await verifier.acceptLogoutToken(token)).toMatchObject({ ok: false, code: 'replayed' })
  })

  it.each([
    [
      'signed with another key',
      logoutToken({}, hmacWith('another key that is long enough too')),
      'signature_invalid',
    ],
    ['of another issuer', logoutToken({ iss: `${issuer}/evil` }), 'issuer_mismatch'],
    ['for another client', logoutToken({ aud: ['other'] }), 'audience_mismatch'],
    ['for another client whose azp is ours', logoutToken({ aud: ['other'], azp: 'gw' }), 'audience_mismatch'],
    ['with a nonce', logoutToken({ nonce: 'n' }), 'not_a_logout_token'],
    ['without events', logoutToken({ events: undefined }), 'not_a_logout_token'],
    ['with another event', logoutToken({ events: { 'http://x': {} } }), 'not_a_logout_token'],
    ['whose event is not an object', logoutToken({ events: { [event]: true } }), 'not_a_logout_token'],
    ['without jti', logoutToken({ jti: undefined }), 'not_a_logout_token'],
    ['without sub and sid', logoutToken({ sub: undefined, sid: undefined }), 'not_a_logout_token'],
    ['with a sid that is not text', logoutToken({ sid: 7 }), 'not_a_logout_token'],
    ['without iat', logoutToken({ iat: undefined }), 'claim_invalid'],
    ['from the future', logoutToken({ iat: nowS + 31 }), 'issued_in_future'],
    ['that is old', logoutToken({ iat: nowS - 150 }), 'expired'],
    ['that is over', logoutToken({ exp: nowS - 30 }), 'expired'],
    ['without exp', logoutToken({ exp: undefined }), 'expired'],
    [
      'with the type of an access token',
      makeToken({ header: { ...header, typ: 'at+jwt' }, payload: logoutClaims }),
      'type_not_allowed',
    ],
    ['with alg none', makeToken({ header: { alg: 'none' }, payload: logoutClaims }), 'algorithm_not_allowed'],
    ['that is an access token', access(), 'not_a_logout_token'],
    ['that is rubbish', 'x', 'token_malformed'],
  ])('%s is refused and changes nothing', async (_name, token, code) => {
    const verifier = create()
    expect(await verifier.acceptLogoutToken(token)).toMatchObject({ ok: false, code })
    expect(await verifier.verifyToken(access())).toMatchObject({ ok: true })
  })

  it('needs a configured issuer and audience', async () => {
    const verifier = createTokenVerifier({ keys: [{ kind: 'secret', secret }], now })
    await expect(verifier.acceptLogoutToken(logoutToken())).rejects.toMatchObject({ code: 'bad_option' })
  })
})

describe('logoutHandler', () => {
  it.each([
    ['by itself', false],
    ['behind a body parser', true],
  ])('answers by the specification, %s', async (_name, parsed) => {
    const verifier = create()
    const app = express()
    if (parsed) app.use(express.urlencoded({ extended: true }))
    app.post('/logout', logoutHandler(verifier))
    const server = app.listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/logout`
    const post = (body: string | URLSearchParams): Promise<Response> => fetch(url, { method: 'POST', body })
    const form = (token: string): URLSearchParams => new URLSearchParams({ logout_token: token })

    const accepted = await post(form(logoutToken()))
    expect([accepted.status, accepted.headers.get('cache-control')]).toEqual([200, 'no-store'])
    expect(await verifier.verifyToken(access())).toMatchObject({ code: 'revoked' })
    const forged = await post(form(access()))
    expect(forged.status).toBe(400)
    expect(await forged.json()).toEqual({
      error: 'invalid_request',
      error_description: 'The token is not a back-channel logout token',
    })
    expect((await post('logout_token=a')).status).toBe(400)
    expect(
      (
        await post(
          new URLSearchParams([
            ['logout_token', 'a'],
            ['logout_token', 'b'],
          ]),
        )
      ).status,
    ).toBe(400)
    server.closeAllConnections()
    server.close()
  })
})
