import { once } from 'node:events'
import {
  createServer,
  type IncomingMessage,
  request,
  type RequestListener,
  type ServerResponse,
} from 'node:http'
import { createSecureServer } from 'node:http2'
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net'
import type { Identity } from '@gw/auth'
import { collectGarbage } from '@gw/testing'
import express, { type RequestHandler } from 'express'
import { generate } from 'selfsigned'
import { expect, test } from 'vitest'
import { createBackendGuard } from '../src/grpc/backend-guard.ts'
import { messageClasses } from '../src/http/express-messages.ts'
import { createHttpServer } from '../src/http/http-server.ts'
import { createProxy, type ProxyOptions } from '../src/http/proxy.ts'
import { mostConnections, ProxyDispatcher } from '../src/http/proxy-dispatcher.ts'
import { listening } from './harness/listening.ts'

const identity: Identity = {
  subject: 'ann',
  expiresAtMs: 0,
  scopes: [],
  roles: [],
  claims: { sub: 'ann', name: '李雷' },
}

interface RigOptions extends Partial<ProxyOptions> {
  /** Comes first, as auth and limits do. */
  readonly before?: RequestHandler
}

interface Rig extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly results: readonly string[]
}

async function proxyTo(
  backend: RequestListener | string,
  { timeoutMs = 1000, before = (_req, _res, next) => next(), ...options }: RigOptions = {},
): Promise<Rig> {
  const upstream = typeof backend === 'string' ? undefined : await listening(createServer(backend))
  const target = typeof backend === 'string' ? backend : (upstream?.url ?? '')
  const dispatcher = options.dispatcher ?? new ProxyDispatcher({ timeoutMs })
  const results: string[] = []
  const app = express()
  app.use(before)
  app.use((req, _res, next) => {
    req.auth = identity
    next()
  })
  app.use(
    createProxy({
      target,
      timeoutMs,
      guard: createBackendGuard(),
      onResult: ({ code }) => results.push(code),
      ...options,
      dispatcher,
    }),
  )
  const front = await listening(createHttpServer(app, { messages: messageClasses(app) }))
  return {
    url: front.url,
    port: front.port,
    results,
    async [Symbol.asyncDispose]() {
      await front[Symbol.asyncDispose]()
      await upstream?.[Symbol.asyncDispose]()
      await dispatcher.destroy()
    },
  }
}

const echo: RequestListener = (req, res) => {
  res.setHeader('content-type', 'application/json')
  res.end(JSON.stringify({ method: req.method, url: req.url, headers: req.headers }))
}

/** A raw request: fetch would not send these headers. */
async function send(
  url: string,
  headers: Readonly<Record<string, string>>,
): Promise<{ readonly headers: Record<string, unknown> }> {
  const outgoing = request(url, { headers })
  outgoing.end()
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  return JSON.parse(Buffer.concat(chunks).toString()) as { readonly headers: Record<string, unknown> }
}

test('an observer that throws fails its request, and nothing else', async () => {
  const onResult = (): never => {
    throw new Error('observer')
  }
  await using rig = await proxyTo('http://127.0.0.1:1', { onResult })
  expect((await fetch(rig.url)).status).toBe(500)
})

test('path, query, method and body pass unchanged', async () => {
  await using rig = await proxyTo((req, res) => {
    res.writeHead(201, { 'x-own': 'yes' })
    res.write(`${req.method} ${req.url} `)
    req.pipe(res)
  })
  const response = await fetch(`${rig.url}/a/b?c=d%20e`, { method: 'POST', body: '{"not": "parsed' })
  expect([response.status, response.headers.get('x-own'), await response.text()]).toEqual([
    201,
    'yes',
    'POST /a/b?c=d%20e {"not": "parsed',
  ])
  expect(rig.results).toEqual(['201'])
})

test('identity headers are ours whatever the client says, and legal whatever a claim holds', async () => {
  await using rig = await proxyTo(echo)
  const { headers } = await send(rig.url, {
    'x-user-id': 'mallory',
    'X-User-Claims': '{}',
    x_user_id: 'mallory',
    'x-gateway-user-id': 'mallory',
    'x-forwarded-for': '1.2.3.4',
    forwarded: 'for=1.2.3.4',
    connection: 'close, x-user-id, x-gateway-user-id',
    'grpc-timeout': '1H',
    'x-app': 'kept',
  })
  expect(headers).toMatchObject({ 'x-user-id': 'ann', 'x-gateway-user-id': 'ann', 'x-app': 'kept' })
  expect(JSON.parse(String(headers['x-user-claims']))).toEqual({ sub: 'ann', name: '李雷' })
  for (const name of ['x_user_id', 'x-forwarded-for', 'forwarded', 'grpc-timeout'])
    expect(headers).not.toHaveProperty(name)
})

test('hop-by-hop headers end here, both ways', async () => {
  await using rig = await proxyTo((req, res) => {
    res.setHeader('keep-alive', 'timeout=99')
    res.setHeader('proxy-authenticate', 'Basic')
    echo(req, res)
  })
  const { headers } = await send(rig.url, {
    te: 'trailers',
    'proxy-authorization': 'x',
    connection: 'x-private',
    'x-private': '1',
  })
  for (const name of ['te', 'proxy-authorization', 'x-private']) expect(headers).not.toHaveProperty(name)
  const response = await fetch(rig.url)
  expect(response.headers.get('proxy-authenticate')).toBeNull()
  expect(response.headers.get('keep-alive')).not.toBe('timeout=99')
  await response.text()
})

test('a backend that says nothing is 504, one that is away 503, one that breaks off 502, each with its reason', async () => {
  await using hung = await proxyTo(() => {}, { timeoutMs: 100 })
  const late = await fetch(hung.url)
  expect([late.status, late.headers.get('x-gateway-reason'), late.headers.get('retry-after')]).toEqual([
    504,
    'upstream_timeout',
    '1',
  ])
  expect(await late.json()).toMatchObject({ code: 'timeout' })

  const gone = await listening(createServer())
  await gone[Symbol.asyncDispose]()
  await using away = await proxyTo(gone.url)
  const refused = await fetch(away.url)
  expect([refused.status, refused.headers.get('x-gateway-reason')]).toEqual([503, 'upstream_unavailable'])
  await refused.text()

  await using broken = await proxyTo((req) => req.socket.destroy())
  const cut = await fetch(broken.url, { method: 'POST', body: 'x' })
  expect([cut.status, await cut.json()]).toEqual([
    502,
    expect.objectContaining({ error: 'Proxy error', code: 'bad_gateway' }),
  ])
})

test('when the client goes away the backend hears of it', async () => {
  const { promise: aborted, resolve } = Promise.withResolvers<void>()
  const { promise: reached, resolve: reach } = Promise.withResolvers<void>()
  await using rig = await proxyTo((_req, res: ServerResponse) => {
    res.once('close', () => resolve())
    reach()
  })
  const client = new AbortController()
  const pending = fetch(rig.url, { signal: client.signal }).catch(() => 'aborted')
  await reached
  client.abort()
  expect(await pending).toBe('aborted')
  await aborted
  expect(rig.results).toEqual(['client_closed'])
})

test('a large answer is streamed: the backend waits for a client that doesn’t read', async () => {
  const total = 64 * 1024 * 1024
  let written = 0
  const { promise: stalled, resolve: stall } = Promise.withResolvers<void>()
  await using rig = await proxyTo(
    (_req, res) => {
      const chunk = Buffer.alloc(64 * 1024)
      const more = (): void => {
        while (written < total) {
          written += chunk.length
          if (!res.write(chunk)) {
            res.once('drain', more)
            // With everything below full, no drain comes and this timer is the last word; a drain replaces it.
            clearTimeout(quiet)
            quiet = setTimeout(stall, 200)
            return
          }
        }
        res.end()
      }
      let quiet = setTimeout(stall, 200)
      more()
    },
    { timeoutMs: 20_000 },
  )
  const outgoing = request(rig.url)
  outgoing.end()
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  await stalled
  expect(written).toBeLessThan(total / 2)
  let read = 0
  for await (const chunk of response) read += (chunk as Buffer).length
  expect(read).toBe(total)
})

test('a GET that nobody answered is tried once more, a POST never, and nothing once an answer began', async () => {
  const seen: string[] = []
  await using rig = await proxyTo((req, res) => {
    seen.push(`${req.method} ${req.url}`)
    if (req.url === '/late') {
      res.writeHead(200, { 'content-length': '10' })
      res.write('begun')
      setImmediate(() => req.socket.destroy())
    } else if (seen.length % 2 === 1) req.socket.destroy()
    else res.end('second')
  })
  expect(await (await fetch(`${rig.url}/get`)).text()).toBe('second')
  expect((await fetch(`${rig.url}/post`, { method: 'POST', body: 'x' })).status).toBe(502)
  await expect(fetch(`${rig.url}/late`).then((response) => response.text())).rejects.toThrow(/terminated/)
  expect(seen).toEqual(['GET /get', 'GET /get', 'POST /post', 'GET /late'])
})

test('a body above the cap is 413: by its stated length at once, by its chunks when they are too many', async () => {
  let received = 0
  await using rig = await proxyTo(
    (req, res) => {
      req.on('data', (chunk: Buffer) => {
        received += chunk.length
      })
      req.on('end', () => res.end('all'))
    },
    { maxBodyBytes: 1000 },
  )
  const stated = await fetch(rig.url, { method: 'POST', body: 'x'.repeat(1001) })
  expect([stated.status, received]).toEqual([413, 0])
  const chunked = request(rig.url, { method: 'POST' })
  chunked.on('error', () => {})
  const answered = once(chunked, 'response')
  chunked.write('x'.repeat(800))
  chunked.write('x'.repeat(800))
  const [response] = (await answered) as [IncomingMessage]
  expect(response.statusCode).toBe(413)
  chunked.destroy()
  const fits = await fetch(rig.url, { method: 'POST', body: 'x'.repeat(1000) })
  expect(await fits.text()).toBe('all')
})

test('a client that sends its body too slowly is told so, and no breaker opens for it', async () => {
  const guard = createBackendGuard()
  await using rig = await proxyTo((req, res) => req.on('end', () => res.end()).resume(), {
    timeoutMs: 100,
    guard,
  })
  for (let at = 0; at < 6; at++) {
    const slow = request(rig.url, { method: 'POST', headers: { 'content-length': '10' } })
    slow.on('error', () => {})
    slow.write('x')
    const [response] = (await once(slow, 'response')) as [IncomingMessage]
    expect([response.statusCode, response.headers['x-gateway-reason']]).toEqual([400, 'client_too_slow'])
    slow.destroy()
  }
  expect(guard.state).toBe('closed')
})

test('a client may shorten its time, and no breaker opens for that; a backend that is late opens it, and is left alone', async () => {
  let reached = 0
  const guard = createBackendGuard({ openMs: 60_000 })
  await using rig = await proxyTo(() => reached++, { timeoutMs: 300, guard })
  const hurry = { 'x-request-timeout-ms': '20' }
  for (let at = 0; at < 6; at++) {
    const response = await fetch(rig.url, { headers: hurry })
    expect([response.status, response.headers.get('x-gateway-reason')]).toEqual([504, 'budget_spent'])
  }
  expect(guard.state).toBe('closed')
  await Promise.all(Array.from({ length: 5 }, () => fetch(rig.url)))
  const before = reached
  const refused = await fetch(rig.url)
  expect([
    refused.status,
    refused.headers.get('x-gateway-reason'),
    refused.headers.get('retry-after'),
  ]).toEqual([503, 'breaker_open', '60'])
  expect(reached).toBe(before)
  expect(rig.results.at(-1)).toBe('refused')
})

test('one user holds only so many exchanges at once', async () => {
  const waiting: ServerResponse[] = []
  const { promise: full, resolve } = Promise.withResolvers<void>()
  await using rig = await proxyTo(
    (_req, res) => {
      waiting.push(res)
      if (waiting.length === 2) resolve()
    },
    { maxPerUser: 2, timeoutMs: 10_000 },
  )
  const held = [fetch(rig.url), fetch(rig.url)]
  await full
  expect((await fetch(rig.url)).status).toBe(429)
  for (const res of waiting) res.end('done')
  expect(await Promise.all(held.map(async (answer) => (await answer).text()))).toEqual(['done', 'done'])
})

test('the parts of a large upload leave memory as it goes by', async () => {
  await collectGarbage()
  const before = process.memoryUsage().arrayBuffers
  let most = 0
  await using rig = await proxyTo(
    (req, res) => {
      req.on('data', () => {
        most = Math.max(most, process.memoryUsage().arrayBuffers - before)
      })
      req.on('end', () => res.end())
    },
    { timeoutMs: 20_000, maxBodyBytes: 200_000_000 },
  )
  const outgoing = request(rig.url, { method: 'POST', headers: { 'content-length': 200_000_000 } })
  const answered = once(outgoing, 'response')
  const part = Buffer.alloc(100_000)
  for (let sent = 0; sent < 2000; sent += 1) if (!outgoing.write(part)) await once(outgoing, 'drain')
  outgoing.end()
  const [response] = (await answered) as [IncomingMessage]
  response.resume()
  expect(response.statusCode).toBe(200)
  // Here the backend's parser is in the same process. Without an end to it these are 78 MB and more.
  expect(most / 1e6).toBeLessThan(48)
})

/** A backend below HTTP. */
async function tcpBackend(onSocket: (socket: Socket) => void) {
  const sockets = new Set<Socket>()
  const server = createTcpServer((socket) => {
    sockets.add(socket.on('error', () => {}))
    onSocket(socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

/** Sends the beginning of a body; what the answer is, the end of the connection included. */
async function beginUpload({ port }: Rig, sent: Buffer): Promise<string> {
  const socket = connect(port, '127.0.0.1').on('error', () => {})
  socket.write(`POST / HTTP/1.1\r\nHost: here\r\nContent-Length: ${sent.length + 1}\r\n\r\n`)
  socket.write(sent)
  const { promise: ended, resolve } = Promise.withResolvers<void>()
  let answer = ''
  socket.on('data', (chunk) => (answer += chunk.toString('latin1'))).on('close', () => resolve())
  await ended
  return answer
}

test('an upload that a backend breaks off is answered, and its connection ends then', async () => {
  await using backend = await tcpBackend((socket) => socket.once('data', () => socket.destroy()))
  await using rig = await proxyTo(backend.url)
  const answer = await beginUpload(rig, Buffer.from('x'))
  expect(answer).toMatch(/^HTTP\/1\.1 502 [^]*\r\nConnection: close\r\n[^]*"bad_gateway"/)
})

test('a backend that answers before it has the body: the answer says that its connection ends, and so it does', async () => {
  await using backend = await tcpBackend((socket) =>
    socket.once('data', () => socket.write('HTTP/1.1 409 Conflict\r\nContent-Length: 5\r\n\r\nearly')),
  )
  await using rig = await proxyTo(backend.url)
  expect(await beginUpload(rig, Buffer.from('x'))).toMatch(
    /^HTTP\/1\.1 409 [^]*\r\nConnection: close\r\n[^]*early$/,
  )
  expect(rig.results).toEqual(['409'])
})

test.each([
  ['the deadline says so', 300, 10_000],
  ['the dispatcher says so', 10_000, 300],
])(
  'a backend that does not take the body is late, not the client who waits for it: %s',
  async (_who, timeoutMs, headersTimeoutMs) => {
    await using backend = await tcpBackend((socket) => socket.pause())
    const dispatcher = new ProxyDispatcher({ timeoutMs: headersTimeoutMs })
    await using rig = await proxyTo(backend.url, { timeoutMs, dispatcher, maxBodyBytes: 100_000_000 })
    // More than the kernel takes on both ways.
    expect(await beginUpload(rig, Buffer.alloc(50_000_000))).toMatch(
      /^HTTP\/1\.1 504 [^]*\r\nX-Gateway-Reason: upstream_timeout\r\n/,
    )
  },
)

test('what never had a connection tells nothing of the backend: busy, or out of its own time', async () => {
  let reached = 0
  const { promise: full, resolve } = Promise.withResolvers<void>()
  await using upstream = await listening(
    createServer(() => {
      reached += 1
      if (reached === mostConnections) resolve()
    }),
  )
  const dispatcher = new ProxyDispatcher({ timeoutMs: 60_000 })
  const common = { dispatcher, maxPerUser: 1000 }
  await using holding = await proxyTo(upstream.url, { ...common, timeoutMs: 60_000 })
  const guard = createBackendGuard()
  await using waiting = await proxyTo(upstream.url, { ...common, timeoutMs: 200, guard })
  const client = new AbortController()
  const hold = (): Promise<unknown> => fetch(holding.url, { signal: client.signal }).catch(() => 'left')
  const held = Array.from({ length: mostConnections }, hold)
  await full
  const reasonOf = async (headers: Readonly<Record<string, string>>): Promise<unknown> => {
    const response = await fetch(waiting.url, { headers })
    return [response.status, response.headers.get('x-gateway-reason')]
  }
  const hurry = { 'x-request-timeout-ms': '20' }
  for (const [headers, expected] of [
    [{}, [503, 'upstream_busy']],
    [hurry, [504, 'budget_spent']],
  ] as const)
    expect(await Promise.all(Array.from({ length: 6 }, () => reasonOf(headers)))).toEqual(
      Array.from({ length: 6 }, () => expected),
    )
  expect([guard.state, reached]).toEqual(['closed', mostConnections])
  client.abort()
  await Promise.all(held)
})

test('what a backend says before its answer (102, 103) is not the answer', async () => {
  await using rig = await proxyTo((_req, res) => {
    res.writeProcessing()
    res.writeEarlyHints({ link: '</a.css>; rel=preload' }, () => res.end('here'))
  })
  const response = await fetch(rig.url)
  expect([response.status, response.headers.get('link'), await response.text()]).toEqual([200, null, 'here'])
  expect(rig.results).toEqual(['200'])
})

test('a TLS backend that could speak HTTP/2 is spoken to in HTTP/1.1, and hears of an upload that breaks off', async () => {
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true },
      { name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] },
    ],
  })
  const { promise: brokenOff, resolve } = Promise.withResolvers<string>()
  const { promise: reached, resolve: reach } = Promise.withResolvers<void>()
  const backend = createSecureServer({ cert, key, allowHTTP1: true }, (req, res) => {
    if (req.method === 'GET') return res.end(`over ${req.httpVersion}`)
    req.on('error', () => {}).once('close', () => resolve(`over ${req.httpVersion}`))
    req.once('data', () => reach())
  }).listen(0, '127.0.0.1')
  await once(backend, 'listening')
  const target = `https://127.0.0.1:${(backend.address() as AddressInfo).port}`
  const tls = { ca: Buffer.from(cert), serverName: 'localhost' }
  const dispatcher = new ProxyDispatcher({ timeoutMs: 20_000, tls })
  await using rig = await proxyTo(target, { timeoutMs: 20_000, dispatcher })
  expect(await (await fetch(rig.url)).text()).toBe('over 1.1')
  const upload = request(rig.url, { method: 'POST', headers: { 'content-length': '10' } })
  upload.on('error', () => {}).write('x')
  await reached
  upload.destroy()
  expect(await brokenOff).toBe('over 1.1')
  backend.close()
})

test('a client that left while it was judged is not sent to the backend', async () => {
  let reached = 0
  const { promise: judged, resolve: judge } = Promise.withResolvers<void>()
  const { promise: over, resolve } = Promise.withResolvers<string>()
  await using rig = await proxyTo(
    (_req, res) => {
      reached += 1
      res.end()
    },
    {
      before(_req, res, next) {
        res.once('close', () => next())
        judge()
      },
      onResult: ({ code }) => resolve(code),
    },
  )
  const client = new AbortController()
  const pending = fetch(rig.url, { signal: client.signal }).catch(() => 'left')
  await judged
  client.abort()
  expect([await pending, await over, reached]).toEqual(['left', 'client_closed', 0])
})

test('an answer keeps its place of the user until it is out, or its client is gone', async () => {
  let held: ServerResponse | undefined
  await using rig = await proxyTo(
    ({ url }, res) => {
      if (url === '/held') held = res
      else res.end('here')
    },
    { maxPerUser: 2, timeoutMs: 20_000 },
  )
  const statusOf = async (): Promise<number> => (await fetch(rig.url)).status
  // In one connection the second answer waits for the first.
  async function askTwice(expected: readonly string[]): Promise<Socket> {
    const client = connect(rig.port, '127.0.0.1').on('error', () => {})
    client.write('GET /held HTTP/1.1\r\nHost: here\r\n\r\nGET / HTTP/1.1\r\nHost: here\r\n\r\n')
    await expect.poll(() => rig.results).toEqual(expected)
    expect(await statusOf()).toBe(429)
    return client
  }
  const leaving = await askTwice(['200'])
  leaving.destroy()
  await expect.poll(() => rig.results).toEqual(['200', 'client_closed'])
  const staying = await askTwice(['200', 'client_closed', '200'])
  held?.end()
  let got = ''
  for await (const chunk of staying) if ((got += (chunk as Buffer).toString()).endsWith('here')) break
  expect(await statusOf()).toBe(200)
})
