import { once } from 'node:events'
import { createServer } from 'node:http'
import jwt from 'jsonwebtoken'
import { expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { connectWs, signToken, type TestWsRefused } from '@gw/testing'

async function startServer(): Promise<AsyncDisposable & { url: string; wss: WebSocketServer }> {
  const http = createServer()
  const wss = new WebSocketServer({ noServer: true })
  http.on('upgrade', (request, socket, head) => {
    if (request.url === '/no') socket.end('HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\n\r\n')
    else wss.handleUpgrade(request, socket, head, (ws) => wss.emit('connection', ws, request))
  })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const address = http.address()
  const port = address !== null && typeof address === 'object' ? address.port : 0
  return {
    url: `ws://127.0.0.1:${port}`,
    wss,
    async [Symbol.asyncDispose]() {
      for (const ws of wss.clients) ws.terminate()
      http.close()
      await once(http, 'close')
    },
  }
}

test('next gives each message once, in order, whatever was waited for before', async () => {
  await using server = await startServer()
  server.wss.on('connection', (ws) => ws.on('message', (data) => ws.send(data, { binary: false })))
  await using client = await connectWs(server.url)
  for (const n of [1, 2, 3]) client.send({ type: n === 3 ? 'B' : 'A', n })
  expect((await client.next('B'))['n']).toBe(3)
  expect((await client.next('A'))['n']).toBe(1)
  expect((await client.next((message) => message['n'] === 2)).type).toBe('A')
  expect(client.received).toHaveLength(3)
  await expect(client.next('A', 20)).rejects.toThrow(/No A within 20 ms/)
})

test('a close ends those who wait and tells code and reason', async () => {
  await using server = await startServer()
  server.wss.on('connection', (ws) => ws.on('message', () => ws.close(4008, 'too slow')))
  await using client = await connectWs(server.url)
  const waiting = client.next('Never')
  client.send('x')
  await expect(waiting).rejects.toThrow(/4008 too slow/)
  expect(await client.closed).toEqual({ code: 4008, reason: 'too slow' })
})

test('a refused upgrade says its HTTP status', async () => {
  await using server = await startServer()
  const refused: TestWsRefused = await connectWs(`${server.url}/no`).then(
    () => expect.unreachable(),
    (error: TestWsRefused) => error,
  )
  expect(refused.status).toBe(429)
  expect(refused.headers['retry-after']).toBe('7')
})

test('a token holds the claims and expires', () => {
  const claims = jwt.verify(signToken({ sub: 'u1', role: 'x' }, 'secret'), 'secret')
  expect(claims).toMatchObject({ sub: 'u1', role: 'x', exp: expect.any(Number) })
})
