import { once } from 'node:events'
import {
  createServer,
  type IncomingMessage,
  request,
  type RequestListener,
  type ServerResponse,
} from 'node:http'
import type { Identity } from '@gw/auth'
import { collectGarbage } from '@gw/testing'
import express from 'express'
import { expect, test } from 'vitest'
import { createBackendGuard } from '../src/grpc/backend-guard.ts'
import { createProxy, type ProxyOptions } from '../src/http/proxy.ts'
import { ProxyDispatcher } from '../src/http/proxy-dispatcher.ts'
import { listening } from './harness/listening.ts'

const identity: Identity = {
  subject: 'ann',
  expiresAtMs: 0,
  scopes: [],
  roles: [],
  claims: { sub: 'ann', name: '李雷' },
}

interface Rig extends AsyncDisposable {
  readonly url: string
  readonly results: readonly string[]
}

async function proxyTo(
  backend: RequestListener | string,
  { timeoutMs = 1000, ...options }: Partial<ProxyOptions> = {},
): Promise<Rig> {
  const upstream = typeof backend === 'string' ? undefined : await listening(createServer(backend))
  const target = typeof backend === 'string' ? backend : (upstream?.url ?? '')
  const dispatcher = new ProxyDispatcher({ timeoutMs })
  const results: string[] = []
  const app = express()
  app.use((req, _res, next) => {
    req.auth = identity
    next()
  })
  app.use(
    createProxy({
      target,
      timeoutMs,
      dispatcher,
      guard: createBackendGuard(),
      onResult: ({ code }) => results.push(code),
      ...options,
    }),
  )
  const front = await listening(createServer(app))
  return {
    url: front.url,
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
