import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import express, { type Express, Router } from 'express'
import { describe, expect, it } from 'vitest'
import {
  currentContext,
  requestContext,
  type RequestContextOptions,
  runWithContext,
  setContext,
} from '../src/http.ts'
import type { Logger } from '../src/logger.ts'
import { createMetrics, type Metrics } from '../src/metrics.ts'
import { injectTraceparent, startTracing, type Tracing, withSpan } from '../src/tracing.ts'
import { type LineSink, testLogger } from './lines.ts'
import { parseExposition, type Sample } from '@gw/testing'
import { collectGarbage, type OtlpSink, type ReceivedSpan, startOtlpSink } from '@gw/testing'

interface App extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly sink: LineSink
  readonly metrics: Metrics
  /** Resolves when `count` access lines were written in all. */
  readonly accessLines: (count: number) => Promise<Record<string, unknown>[]>
  /** The counted requests by their labels: `GET /a 200` to 1. */
  readonly counts: () => Promise<Record<string, number>>
}

async function serve(
  build: (app: Express) => void,
  options: Partial<RequestContextOptions> = {},
): Promise<App> {
  const { logger, sink } = testLogger()
  const metrics = createMetrics({ defaultMetrics: false })
  const app = express()
  const waiting = new Set<() => void>()
  const observed: Pick<Logger, 'lines'> = {
    lines: (...event) => {
      const write = logger.lines(...event)
      return (values) => {
        write(values)
        for (const check of waiting) check()
      }
    },
  }
  app.use(requestContext({ logger: observed, metrics, ...options }))
  build(app)
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    port: address.port,
    sink,
    metrics,
    accessLines: (count) =>
      new Promise((resolve) => {
        const check = (): void => {
          const lines = sink.lines.filter((line) => line['msg'] === 'http_request')
          if (lines.length < count) return
          waiting.delete(check)
          resolve(lines)
        }
        waiting.add(check)
        check()
      }),
    counts: async () => {
      const families = parseExposition(await metrics.text())
      const name = 'gateway_http_request_duration_seconds'
      const samples: Sample[] = families.get(name)?.samples ?? []
      return Object.fromEntries(
        samples
          .filter((sample) => sample.name === `${name}_count`)
          .map(({ labels, value }) => [`${labels['method']} ${labels['route']} ${labels['status']}`, value]),
      )
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

describe('the request id', () => {
  const echo = (app: Express): void => {
    app.get('/id', (_request, response) => void response.json(currentContext()))
  }

  it.each(['a', 'req-1.2:3_4', '0af7651916cd43dd8448eb211c80319c', 'x'.repeat(128)])(
    'is taken over when it is sane: %s',
    async (id) => {
      await using app = await serve(echo)
      const response = await fetch(`${app.url}/id`, { headers: { 'X-Request-Id': id } })
      expect(response.headers.get('x-request-id')).toBe(id)
      expect(await response.json()).toMatchObject({ requestId: id })
    },
  )

  it.each(['', ' ', 'a b', '<script>', 'x'.repeat(129), 'é', '"', '-a'])(
    'is made when it is not: %s',
    async (id) => {
      await using app = await serve(echo)
      const response = await fetch(`${app.url}/id`, { headers: { 'X-Request-Id': id } })
      const made = response.headers.get('x-request-id')
      expect(made).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
      expect(await response.json()).toEqual({ requestId: made })
    },
  )

  it('is always made where the caller is not trusted', async () => {
    await using app = await serve(echo, { trustIncoming: false, header: 'x-correlation-id' })
    const response = await fetch(`${app.url}/id`, { headers: { 'X-Correlation-Id': 'mine' } })
    expect(response.headers.get('x-correlation-id')).toHaveLength(36)
  })
})

describe('the context', () => {
  it('reaches asynchronous handlers behind a body parser, and is apart for each request', async () => {
    await using app = await serve((app) => {
      app.use(express.json())
      app.post('/a', (request, response) => {
        setContext({ userId: request.body.user })
        setImmediate(() => response.json(currentContext()))
      })
    })
    const post = async (user: string): Promise<unknown> => {
      const headers = { 'Content-Type': 'application/json', 'X-Request-Id': `id-${user}` }
      const init = { method: 'POST', headers, body: JSON.stringify({ user }) }
      return (await fetch(`${app.url}/a`, init)).json()
    }
    const users = Array.from({ length: 20 }, (_, i) => `u${i}`)
    expect(await Promise.all(users.map(post))).toEqual(
      users.map((userId) => ({ requestId: `id-${userId}`, userId })),
    )
    const lines = await app.accessLines(20)
    for (const line of lines) expect(line['requestId']).toBe(`id-${String(line['userId'])}`)
  })
})

describe('the access line', () => {
  it('is one per request, with all that was promised', async () => {
    const times = [100, 112.5]
    await using app = await serve(
      (app) => {
        app.get('/things/:id', (_request, response) => {
          setContext({ userId: 'u1' })
          response.type('text').send('x'.repeat(1000))
        })
      },
      { now: () => times.shift() ?? 0 },
    )
    await (await fetch(`${app.url}/things/7?token=CANARY`, { headers: { 'X-Request-Id': 'r1' } })).text()
    const [line] = await app.accessLines(1)
    expect(line).toEqual({
      level: 'info',
      time: '2026-11-23T12:00:00.005Z',
      msg: 'http_request',
      service: 'gateway',
      instanceId: 'i-1',
      requestId: 'r1',
      userId: 'u1',
      method: 'GET',
      route: '/things/:id',
      status: 200,
      durationMs: 12.5,
      bytes: expect.any(Number),
    })
    expect(line?.['bytes']).toBeGreaterThan(1000)
    expect(line?.['bytes']).toBeLessThan(2000)
    expect(app.sink.text).not.toContain('CANARY')
  })

  it('holds nothing of the request while it waits to be written', async () => {
    const waiting: unknown[] = []
    const requests: WeakRef<object>[] = []
    const metrics = createMetrics({ defaultMetrics: false })
    const app = express()
    app.use(requestContext({ logger: { lines: () => (values) => waiting.push(values) }, metrics }))
    app.get('/a', (request, response) => {
      requests.push(new WeakRef(request))
      response.send('a')
    })
    const server = app.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : 0
    await (await fetch(`http://127.0.0.1:${port}/a`, { headers: { connection: 'close' } })).text()
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
    await collectGarbage()
    expect(waiting).toHaveLength(1)
    expect(requests.map((request) => request.deref())).toEqual([undefined])
  })

  it('names nobody else when the answer ends in the context of another request', async () => {
    await using app = await serve((express) =>
      express.get('/a', (_request, response) => {
        // As a pooled connection to a backend does: it keeps the context of the request that opened it.
        runWithContext({ requestId: 'other', userId: 'other', connectionId: 'other' }, () =>
          withSpan('other', { parent: 'root' }, () => response.end()),
        )
      }),
    )
    await fetch(`${app.url}/a`, { headers: { 'x-request-id': 'mine' } })
    const [line] = await app.accessLines(1)
    expect(line).toMatchObject({ requestId: 'mine' })
    for (const field of ['userId', 'connectionId', 'traceId', 'spanId'])
      expect(line).not.toHaveProperty(field)
  })

  it('tells of a client that went away, as 499', async () => {
    const arrived = Promise.withResolvers<void>()
    await using app = await serve((app) => {
      app.get('/slow', () => arrived.resolve())
    })
    const request = httpRequest(`${app.url}/slow`)
    request.on('error', () => {})
    request.end()
    await arrived.promise
    request.destroy()
    expect((await app.accessLines(1))[0]).toMatchObject({ status: 499, aborted: true, route: '/slow' })
  })

  it('is written for an answer that breaks off in the middle', async () => {
    await using app = await serve((app) => {
      app.get('/cut', (_request, response) => {
        response.write('part')
        response.destroy()
      })
    })
    await expect(fetch(`${app.url}/cut`).then((response) => response.text())).rejects.toThrow(TypeError)
    expect((await app.accessLines(1))[0]).toMatchObject({ status: 200, aborted: true })
  })
})

describe('the route label', () => {
  it('is the Express pattern with its mount path', async () => {
    await using app = await serve((app) => {
      const inner = Router().get('/', (_request, response) => void response.end())
      inner.get('/:id/state', (_request, response) => void response.end())
      app.use('/api/things', inner)
      app.get('/', (_request, response) => void response.end())
      app.use('/api/accounts', (_request, response) => {
        response.locals['route'] = '/api/accounts*'
        response.status(502).end()
      })
    })
    const paths = ['/', '/api/things', '/api/things/7/state', '/api/things/8/state', '/api/accounts/x/y']
    for (const path of paths) await (await fetch(app.url + path)).text()
    await app.accessLines(paths.length)
    expect(await app.counts()).toEqual({
      'GET / 200': 1,
      'GET /api/things 200': 1,
      'GET /api/things/:id/state 200': 2,
      'GET /api/accounts* 502': 1,
    })
  })

  it('is never the path of a request that nobody took (401, 404, any method)', async () => {
    await using app = await serve((app) => {
      app.use('/private', (_request, response) => void response.status(401).end())
      app.get('/known', (_request, response) => void response.end())
    })
    for (let i = 0; i < 5; i++) {
      await (await fetch(`${app.url}/private/${i}`)).text()
      await (await fetch(`${app.url}/unknown/${i}`)).text()
      await (await fetch(`${app.url}/unknown/${i}`, { method: 'PROPFIND' })).text()
    }
    await app.accessLines(15)
    expect(await app.counts()).toEqual({
      'GET unmatched 401': 5,
      'GET unmatched 404': 5,
      'OTHER unmatched 404': 5,
    })
  })

  it('names the parameters of a mount path, and is bounded where it cannot', async () => {
    const answer = Router({ mergeParams: true }).get('/x', (_request, response) => void response.end())
    const blind = Router().get('/x', (_request, response) => void response.end())
    await using app = await serve(
      (app) => {
        app.use('/a/:id', answer)
        app.use('/b/:id', blind)
      },
      { maxRoutes: 4 },
    )
    for (let i = 0; i < 10; i++) await (await fetch(`${app.url}/a/v${i}/x`)).text()
    for (let i = 0; i < 10; i++) await (await fetch(`${app.url}/b/v${i}/x`)).text()
    await app.accessLines(20)
    const counts = await app.counts()
    expect(counts['GET /a/:id/x 200']).toBe(10)
    expect(counts['GET overflow 200']).toBe(7)
    expect(Object.keys(counts)).toHaveLength(5)
  })

  it('counts a request whose head makes no sense to Express', async () => {
    await using app = await serve(() => {})
    const socket = connect(app.port, '127.0.0.1')
    socket.end('GET /%E0%A4%A HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    socket.resume()
    await once(socket, 'close')
    expect((await app.accessLines(1))[0]).toMatchObject({ route: 'unmatched' })
  })
})

function traceTo({ endpoint }: OtlpSink): Tracing {
  const names = { serviceName: 'g', serviceVersion: '1', instanceId: 'i' }
  return startTracing({ ...names, endpoint, scheduledDelayMs: 10 })
}

describe('the server span', () => {
  it('joins the incoming trace, is active in the handler, and follows the semantic conventions', async () => {
    await using sink = await startOtlpSink()
    const tracing = traceTo(sink)
    await using app = await serve((app) => {
      app.get('/things/:id', (_request, response) => {
        response.status(503).json({ traceparent: injectTraceparent() })
      })
    })
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    const response = await fetch(`${app.url}/things/7?token=CANARY`, { headers: { traceparent } })
    const inside: unknown = await response.json()
    const [span] = await sink.spans(1)
    await tracing.shutdown(1000)
    expect(span).toMatchObject({
      name: 'GET /things/:id',
      kind: 2,
      traceId: '0af7651916cd43dd8448eb211c80319c',
      parentSpanId: 'b7ad6b7169203331',
      statusCode: 2,
      attributes: {
        'http.request.method': 'GET',
        'http.route': '/things/:id',
        'http.response.status_code': 503,
        'url.path': '/things/7',
        'url.scheme': 'http',
        'error.type': '503',
      },
    })
    expect(inside).toEqual({ traceparent: `00-${span?.traceId}-${span?.spanId}-01` })
    expect(span?.raw).not.toContain('CANARY')
    const [line] = await app.accessLines(1)
    expect(line).toMatchObject({ traceId: span?.traceId, spanId: span?.spanId })
  })

  it('has the scheme that a trusted proxy names, and the whole path of what is mounted', async () => {
    await using sink = await startOtlpSink()
    const tracing = traceTo(sink)
    const spanOf = async (trust: boolean, count: number): Promise<ReceivedSpan | undefined> => {
      await using app = await serve((app) => {
        app.set('trust proxy', trust)
        app.use('/mounted', (_request, response) => void response.end())
      })
      await fetch(`${app.url}/mounted/here?x=1`, { headers: { 'x-forwarded-proto': 'https' } })
      return (await sink.spans(count)).at(-1)
    }
    const path = { 'url.path': '/mounted/here' }
    expect((await spanOf(true, 1))?.attributes).toMatchObject({ ...path, 'url.scheme': 'https' })
    expect((await spanOf(false, 2))?.attributes).toMatchObject({ ...path, 'url.scheme': 'http' })
    await tracing.shutdown(1000)
  })

  it('only links the trace of a caller that is not trusted', async () => {
    await using sink = await startOtlpSink()
    const tracing = traceTo(sink)
    await using app = await serve(
      (app) => {
        app.get('/a', (_request, response) => void response.end())
      },
      { trustIncoming: false },
    )
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    await fetch(`${app.url}/a`, { headers: { traceparent } })
    const [span] = await sink.spans(1)
    await tracing.shutdown(1000)
    expect(span?.parentSpanId).toBe('')
    expect(span?.traceId).not.toBe('0af7651916cd43dd8448eb211c80319c')
    expect(span?.links).toEqual([{ traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' }])
  })
})

it('refuses a header name that is none', () => {
  const { logger } = testLogger()
  expect(() => requestContext({ logger, metrics: createMetrics(), header: 'a b' })).toThrow(
    expect.objectContaining({ code: 'invalid_option' }),
  )
})
