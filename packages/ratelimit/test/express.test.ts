import { freePort } from '@gw/testing'
import express, { type Express, type Request } from 'express'
import { Redis } from 'ioredis'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { afterEach, describe, expect, test } from 'vitest'
import { rateLimit } from '../src/express.ts'
import {
  addressKey,
  createClientAddress,
  createRateLimiter,
  type LimitRequest,
  MemoryRateLimitStore,
  type RateLimiter,
  type RateLimitStore,
  userKey,
} from '../src/index.ts'
import { rateLimitRedisOptions, RedisRateLimitStore } from '../src/redis.ts'

let close: (() => Promise<void>) | undefined
afterEach(async () => {
  await close?.()
})

async function serve(app: Express): Promise<string> {
  const server = createServer(app).listen(0, '127.0.0.1')
  await once(server, 'listening')
  close = async () => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
  const address = server.address()
  return `http://127.0.0.1:${address !== null && typeof address === 'object' ? address.port : 0}`
}

let nowMs = 1_800_000_000_000 - (1_800_000_000_000 % 60_000)
const policies = [
  { name: 'user', limit: 2, windowMs: 60_000 },
  { name: 'ip', limit: 5, windowMs: 60_000 },
]

function limiterOn(store: RateLimitStore = new MemoryRateLimitStore({ now: () => nowMs })): RateLimiter {
  return createRateLimiter({ store, policies, onStoreError: 'deny' })
}

const addressOf = createClientAddress({ trustedHops: 1 })
const ip = (request: Request): LimitRequest => ({ policy: 'ip', key: addressKey(addressOf(request)) })
const user = (request: Request): LimitRequest => ({
  policy: 'user',
  key: userKey(request.get('x-user') ?? ''),
})

function appWith(limiter: RateLimiter, ids: Readonly<Record<string, string>> = {}): Express {
  const app = express()
  app.use(rateLimit({ limiter, keys: (request: Request) => [user(request), ip(request)], ids: () => ids }))
  app.get('/', (_request, response) => {
    response.json({ ok: true })
  })
  return app
}

/** A GET as this user from this address. */
async function get(url: string, from: { user?: string; ip?: string; accept?: string }): Promise<Response> {
  const headers = { 'x-user': from.user ?? 'ann', 'x-forwarded-for': from.ip ?? '203.0.113.7' }
  return fetch(url, { headers: { ...headers, accept: from.accept ?? '*/*' } })
}

describe('per user and per address', () => {
  test('the legacy fields show the tighter key, the IETF fields both', async () => {
    const url = await serve(appWith(limiterOn()))
    const response = await get(url, {})
    expect(response.status).toBe(200)
    expect(response.headers.get('x-ratelimit-limit')).toBe('2')
    expect(response.headers.get('x-ratelimit-remaining')).toBe('1')
    const reset = Number(response.headers.get('x-ratelimit-reset'))
    expect(reset).toBeGreaterThanOrEqual(Date.now() / 1000 + 115)
    expect(reset).toBeLessThanOrEqual(Date.now() / 1000 + 121)
    expect(response.headers.get('ratelimit-policy')).toBe('"user";q=2;w=60, "ip";q=5;w=60')
    expect(response.headers.get('ratelimit')).toBe('"user";r=1;t=120, "ip";r=4;t=120')
    expect(response.headers.get('retry-after')).toBeNull()
  })

  test('refuses a user with the body and the exact Retry-After of the contract', async () => {
    const url = await serve(appWith(limiterOn(), { requestId: 'r-1', traceId: '4bf92f35' }))
    await get(url, {})
    await get(url, {})
    nowMs += 30_500
    const response = await get(url, {})
    expect(response.status).toBe(429)
    // Two hits at the window's begin: half a minute into the next one, one of them is gone.
    expect(response.headers.get('retry-after')).toBe('60')
    expect(response.headers.get('x-ratelimit-remaining')).toBe('0')
    expect(response.headers.get('ratelimit')).toBe('"user";r=0;t=60, "ip";r=3;t=60')
    expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8')
    expect(await response.json()).toEqual({
      code: 'RATE_LIMITED',
      message: 'Too many requests from this user',
      requestId: 'r-1',
      traceId: '4bf92f35',
    })
    nowMs += 29_500
  })

  test('an abuser behind a shared address is stopped by the user limit, the others go on until the address is full', async () => {
    const url = await serve(appWith(limiterOn()))
    const statuses: number[] = []
    for (const name of ['abuser', 'abuser', 'abuser', 'abuser', 'bob', 'carl', 'dora', 'eve']) {
      statuses.push((await get(url, { user: name })).status)
    }
    expect(statuses).toEqual([200, 200, 429, 429, 200, 200, 200, 429])
    const refused = await get(url, { user: 'eve' })
    expect(await refused.json()).toEqual({ code: 'RATE_LIMITED', message: 'Too many requests from this IP' })
  })

  test('a client that asks for a problem gets one, with the policies it violated', async () => {
    const url = await serve(appWith(limiterOn()))
    await get(url, {})
    await get(url, {})
    const response = await get(`${url}?token=secret`, { accept: 'application/problem+json' })
    expect(response.headers.get('content-type')).toBe('application/problem+json; charset=utf-8')
    const message = 'Too many requests from this user'
    expect(await response.json()).toEqual({
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      title: 'Quota exceeded',
      status: 429,
      detail: message,
      instance: '/',
      code: 'RATE_LIMITED',
      message,
      'violated-policies': ['user'],
    })
  })
})

describe('routes', () => {
  test('before and after authentication: the lists grow, the tighter one owns the legacy fields', async () => {
    const limiter = limiterOn()
    const app = express()
    app.use(rateLimit({ limiter, keys: (request: Request) => [ip(request)] }))
    app.use(rateLimit({ limiter, keys: (request: Request) => [user(request)] }))
    app.get('/', (_request, response) => void response.end())
    const response = await get(await serve(app), {})
    expect(response.headers.get('ratelimit-policy')).toBe('"ip";q=5;w=60, "user";q=2;w=60')
    expect(response.headers.get('x-ratelimit-remaining')).toBe('1')
  })

  test('a costly route takes more; one that costs more than the limit is 413 without Retry-After', async () => {
    const limiter = limiterOn()
    const app = express()
    for (const cost of [4, 6]) {
      app.get(`/${cost}`, rateLimit({ limiter, keys: (request: Request) => [{ ...ip(request), cost }] }))
      app.get(`/${cost}`, (_request, response) => void response.end())
    }
    const url = await serve(app)
    expect((await get(`${url}/4`, {})).headers.get('x-ratelimit-remaining')).toBe('1')
    const tooMuch = await get(`${url}/6`, {})
    expect(tooMuch.status).toBe(413)
    expect(tooMuch.headers.get('retry-after')).toBeNull()
  })

  test('a route without keys is not counted and carries no field', async () => {
    const app = express()
    app.use(rateLimit({ limiter: limiterOn(), keys: () => [] }))
    app.get('/', (_request, response) => void response.end())
    const response = await get(await serve(app), {})
    expect(response.status).toBe(200)
    expect(response.headers.get('ratelimit')).toBeNull()
  })

  test('what keys throws goes to the error handler', async () => {
    const app = express()
    const keys = (): LimitRequest[] => {
      throw new Error('no user')
    }
    app.use(rateLimit({ limiter: limiterOn(), keys }))
    const response = await get(await serve(app), {})
    expect(response.status).toBe(500)
    expect(await response.text()).toContain('Error: no user')
  })
})

test('a store that fails, with deny: 503 with the body of the contract, whose failure it is, and Retry-After; a problem to who asks for one', async () => {
  const client = new Redis(await freePort(), '127.0.0.1', rateLimitRedisOptions())
  client.on('error', () => {})
  const store = new RedisRateLimitStore({ client })
  const url = await serve(appWith(limiterOn(store)))
  const response = await get(url, {})
  expect(response.status).toBe(503)
  expect(response.headers.get('retry-after')).toBe('1')
  expect(response.headers.get('x-gateway-reason')).toBe('limits_unavailable')
  expect(response.headers.get('x-ratelimit-limit')).toBeNull()
  const message = 'Rate limiting service unavailable'
  expect(await response.json()).toEqual({ code: 'SERVICE_UNAVAILABLE', message })
  const problem = await get(`${url}/any?token=secret`, { accept: 'application/problem+json' })
  expect(problem.headers.get('content-type')).toBe('application/problem+json; charset=utf-8')
  expect(await problem.json()).toEqual({
    type: 'about:blank',
    title: 'Service Unavailable',
    status: 503,
    detail: message,
    instance: '/any',
    code: 'SERVICE_UNAVAILABLE',
    message,
  })
  client.disconnect()
})
