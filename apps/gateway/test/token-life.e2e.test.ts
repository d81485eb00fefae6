/** A token's end, a new one in its place, and a logout at the identity provider, on open sockets of two instances. */
import { connectWs, signToken, startRedis } from '@gw/testing'
import { expect, test } from 'vitest'
import { secret, startGateway, tokenOf } from './harness/platform.ts'

const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds

test('a socket outlives its token by the grace alone; a new token of the same user renews it, another user’s does not', async () => {
  await using gateway = await startGateway({ WS_TOKEN_GRACE_MS: '300' })
  const open = async (exp: number, features?: readonly string[]) => {
    const socket = await connectWs(gateway.wsUrl)
    socket.send({ type: 'Authenticate', token: tokenOf('ann', { exp }), ...(features && { features }) })
    await socket.next('Welcome')
    return socket
  }
  const [left, renewed, legacy] = await Promise.all([
    open(inSeconds(2), ['acks']),
    open(inSeconds(2), ['acks']),
    open(inSeconds(2)),
  ])
  await left.next('TokenExpiring')
  renewed.send({ type: 'Authenticate', token: tokenOf('ben'), id: 'wrong' })
  expect(await renewed.next(({ id }) => id === 'wrong')).toMatchObject({ type: 'Error', code: 'auth_denied' })
  const exp = inSeconds(600)
  renewed.send({ type: 'Authenticate', token: tokenOf('ann', { exp }), id: 'right' })
  expect(await renewed.next(({ id }) => id === 'right')).toMatchObject({
    type: 'Ack',
    tokenExpiresAt: new Date(exp * 1000).toISOString(),
  })
  expect(await left.closed).toEqual({ code: 4001, reason: 'token_expired' })
  expect(await legacy.closed).toEqual({ code: 1008, reason: 'Unauthorized' })
  renewed.send({ type: 'Ping', id: 'still-here' })
  expect(await renewed.next('Pong')).toMatchObject({ id: 'still-here' })
  await renewed.close()
})

test('a back-channel logout closes the user’s sockets on both instances and refuses the token; a forged one does nothing', async () => {
  await using redis = await startRedis()
  const provider = { JWT_ISSUER: 'https://idp.example', JWT_AUDIENCE: 'gateway' }
  const env = { ...provider, REDIS_URL: redis.url }
  await using one = await startGateway(env)
  await using two = await startGateway(env)
  await Promise.all([one.ready(), two.ready()])
  const registered = { iss: provider.JWT_ISSUER, aud: provider.JWT_AUDIENCE }
  const tokenFor = (sub: string) => signToken({ sub, ...registered, iat: inSeconds(-5) }, secret)
  const connect = async (wsUrl: string, sub: string) => {
    const socket = await connectWs(wsUrl)
    socket.send({ type: 'Authenticate', token: tokenFor(sub) })
    await socket.next('Welcome')
    return socket
  }
  const sockets = await Promise.all([connect(one.wsUrl, 'ann'), connect(two.wsUrl, 'ann')])
  const neighbour = await connect(two.wsUrl, 'ben')

  const logout = async (key: string) => {
    const claims = {
      ...registered,
      sub: 'ann',
      jti: 'logout-1',
      iat: inSeconds(0),
      exp: inSeconds(60),
      events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
    }
    const token = signToken(claims, key, { header: { alg: 'HS256', typ: 'logout+jwt' } })
    return fetch(`${one.url}/backchannel-logout`, {
      method: 'POST',
      body: new URLSearchParams({ logout_token: token }),
    })
  }
  expect((await logout('a-key-that-nobody-gave-us-0123456789abcdef')).status).toBe(400)
  expect((await logout(secret)).status).toBe(200)
  for (const socket of sockets) expect(await socket.closed).toEqual({ code: 4500, reason: 'revoked' })
  const refused = await fetch(`${two.url}/api/me`, {
    headers: { authorization: `Bearer ${tokenFor('ann')}` },
  })
  expect(refused.status).toBe(401)
  neighbour.send({ type: 'Ping', id: 'x' })
  expect(await neighbour.next('Pong')).toMatchObject({ id: 'x' })
  await neighbour.close()
})
