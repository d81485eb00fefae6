/** How a gateway process starts, or says why it doesn't. */
import { generateKeyPairSync } from 'node:crypto'
import { connectWs, freePort, signToken, startRedis } from '@gw/testing'
import { expect, test } from 'vitest'
import { startApp } from './harness/app-process.ts'
import { secret, startGateway, tokenOf } from './harness/platform.ts'

test('a wrong configuration ends the process with 1 and names every mistake, no value', async () => {
  await using gateway = startApp({
    app: 'gateway',
    env: { PORT: 'abc', JWT_HS256_SECRET: 'hunter2', REDIS_URL: 'localhost', HTTP_RATE_LIMIT_MAX: '0' },
  })
  expect(await gateway.exited).toEqual({ code: 1, signal: null })
  for (const name of ['PORT', 'JWT_HS256_SECRET', 'REDIS_URL', 'HTTP_RATE_LIMIT_MAX'])
    expect(gateway.output()).toContain(`${name}: `)
  expect(gateway.output()).not.toContain('hunter2')
})

test('a port that is taken ends the process with 1 and one line', async () => {
  await using first = await startGateway()
  const { port } = new URL(first.url)
  await using second = startApp({
    app: 'gateway',
    env: { HOST: '127.0.0.1', PORT: port, METRICS_PORT: '0', INTERNAL_PORT: '0', JWT_HS256_SECRET: secret },
  })
  expect(await second.exited).toEqual({ code: 1, signal: null })
  expect(second.output()).toContain('EADDRINUSE')
})

test('with a public key, RS256 tokens are let in, over HTTP and WebSocket, and HS256 ones never', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const bare = publicKey.export({ type: 'spki', format: 'der' }).toString('base64')
  await using gateway = await startGateway({ JWT_PUBLIC_KEY: bare, GRPC_CLIENT_TIMEOUT_MS: '300' })
  const good = signToken({ sub: 'rs-ann' }, privateKey.export({ type: 'pkcs8', format: 'pem' }), {
    algorithm: 'RS256',
  })
  const status = async (token: string): Promise<number> =>
    (await fetch(`${gateway.url}/api/nowhere`, { headers: { authorization: `Bearer ${token}` } })).status
  expect(await status(good)).toBe(404)
  expect(await status(tokenOf('rs-ann'))).toBe(401)
  // The key itself as an HMAC secret: the confusion that one algorithm per key ends.
  for (const confused of [bare, publicKey.export({ type: 'spki', format: 'pem' }).toString()])
    expect(await status(signToken({ sub: 'rs-ann' }, confused))).toBe(401)

  const socket = await connectWs(gateway.wsUrl)
  socket.send({ type: 'Authenticate', token: good })
  expect(await socket.next('Welcome')).toMatchObject({ userId: 'rs-ann' })
  await socket.close()
})

test('the token may come with the handshake: header or subprotocol; by query only where that is enabled', async () => {
  await using gateway = await startGateway()
  const token = tokenOf('hs-ann')
  const byHeader = await connectWs(gateway.wsUrl, { headers: { authorization: `Bearer ${token}` } })
  expect(await byHeader.next('Welcome')).toMatchObject({ userId: 'hs-ann' })
  const byProtocol = await connectWs(gateway.wsUrl, { protocols: ['gw', `bearer.${token}`] })
  expect(await byProtocol.next('Welcome')).toMatchObject({ userId: 'hs-ann' })
  expect(byProtocol.headers['sec-websocket-protocol']).toBe('gw')
  const twice = await connectWs(gateway.wsUrl, {
    protocols: ['gw', `bearer.${token}`],
    headers: { authorization: `Bearer ${token}` },
  })
  expect((await twice.closed).code).toBe(1008)
  const byQuery = await connectWs(`${gateway.wsUrl}?token=${token}`)
  byQuery.send({ type: 'Ping' })
  expect(await byQuery.closed).toEqual({ code: 1008, reason: 'Authentication required' })
  await Promise.all([byHeader.close(), byProtocol.close()])

  await using open = await startGateway({ WS_QUERY_TOKEN_AUTH: 'true' })
  const allowed = await connectWs(`${open.wsUrl}?token=${token}`)
  expect(await allowed.next('Welcome')).toMatchObject({ userId: 'hs-ann' })
  await allowed.close()
  expect(open.process.output()).not.toContain(token)
})

test.each([
  [{}, 'on'],
  [{ NATIVE_SEND: 'false' }, 'off'],
])('says which way messages are written: %o', async (env, nativeSend) => {
  await using gateway = await startGateway(env)
  expect(await gateway.process.line('started')).toMatchObject({ nativeSend })
})

test('an entry of one’s own has rules of its own, in each of several workers', async () => {
  await using redis = await startRedis()
  await using gateway = await startGateway(
    { REDIS_URL: redis.url, WORKERS: '2' },
    { entry: 'test/fixtures/own-entry.ts' },
  )
  await gateway.ready()
  // They go to the workers by turns.
  for (const user of ['own-ann', 'own-ben']) {
    const socket = await connectWs(gateway.wsUrl)
    socket.send({ type: 'Authenticate', token: tokenOf(user) })
    await socket.next('Welcome')
    socket.send({ type: 'SubscribeTable', tableId: 'of-somebody' })
    expect(await socket.next('Error')).toMatchObject({ code: 'forbidden' })
    await socket.close()
  }
})

test('without Redis, and so without the list of revoked tokens, tokens are taken or refused as it is set', async () => {
  const REDIS_URL = `redis://127.0.0.1:${await freePort()}`
  await using open = await startGateway({ REDIS_URL })
  await using closed = await startGateway({ REDIS_URL, REVOCATION_FAIL_OPEN: 'false' })
  const [taken, refused] = await Promise.all(
    [open, closed].map((gateway) => gateway.fetch('/api/nowhere', { userId: 'rv-ann' })),
  )
  expect(taken?.status).toBe(404)
  expect(refused?.status).toBe(503)
  expect(refused?.headers.get('retry-after')).toBe('1')
  const socket = await connectWs(closed.wsUrl)
  socket.send({ type: 'Authenticate', token: tokenOf('rv-ann') })
  expect(await socket.closed).toMatchObject({ code: 1011, reason: 'Authentication unavailable' })
})
