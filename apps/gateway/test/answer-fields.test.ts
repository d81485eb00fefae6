import { createServer, type RequestListener } from 'node:http'
import express, { type RequestHandler } from 'express'
import { expect, test } from 'vitest'
import { addField, gatherFields, relayHead } from '../src/http/answer-fields.ts'
import { messageClasses } from '../src/http/express-messages.ts'
import { createFixedFields } from '../src/http/fixed-fields.ts'
import { inTurn } from '../src/http/in-turn.ts'
import { listening } from './harness/listening.ts'

function appWith(corsOrigins: readonly string[], ...handlers: readonly RequestHandler[]): RequestListener {
  const app = express().disable('etag')
  const fixed = createFixedFields(corsOrigins)
  app.use(inTurn(gatherFields(fixed), fixed.preflight, ...handlers))
  return app
}

async function answerTo(listener: RequestListener, init: RequestInit = {}): Promise<Response> {
  await using server = await listening(createServer(listener))
  const response = await fetch(server.url, init)
  await response.text()
  return response
}

test('the same fields go out whether an answer is made here or relayed', async () => {
  const mark: RequestHandler = (_request, response, next) => {
    addField(response, 'X-Mark', '1')
    next()
  }
  const made = await answerTo(
    appWith(['https://a.example'], mark, (_request, response) => {
      response.json({})
    }),
  )
  const relayed = await answerTo(
    appWith(['https://a.example'], mark, (_request, response) => {
      relayHead(response, 200, { 'content-type': 'application/json; charset=utf-8', 'content-length': '2' })
      response.end('{}')
    }),
  )
  const fieldsOf = ({ headers }: Response) => ({ ...Object.fromEntries(headers), date: '' })
  expect(fieldsOf(relayed)).toEqual(fieldsOf(made))
  expect(made.headers.get('x-mark')).toBe('1')
  expect(made.headers.get('x-content-type-options')).toBe('nosniff')
  expect(made.headers.get('vary')).toBe('Origin')
})

test('what a handler sets or a backend says wins, and stands there once', async () => {
  const made = await answerTo(
    appWith(['https://a.example'], (_request, response) => {
      response.setHeader('X-Frame-Options', 'DENY')
      response.end()
    }),
  )
  expect(made.headers.get('x-frame-options')).toBe('DENY')
  const relayed = await answerTo(
    appWith(['https://a.example'], (_request, response) => {
      response.setHeader('X-Early', 'yes')
      relayHead(response, 200, {
        'x-frame-options': 'DENY',
        'access-control-allow-origin': '*',
        'set-cookie': ['a=1', 'b=2'],
        connection: 'x-own',
        'keep-alive': 'timeout=1',
      })
      response.end()
    }),
  )
  expect(relayed.headers.get('x-frame-options')).toBe('DENY')
  expect(relayed.headers.get('access-control-allow-origin')).toBe('*')
  expect(relayed.headers.getSetCookie()).toEqual(['a=1', 'b=2'])
  expect(relayed.headers.get('x-early')).toBe('yes')
  expect(relayed.headers.get('keep-alive')).not.toBe('timeout=1')
})

test('of several origins each is told of itself, and a stranger of none', async () => {
  const app = appWith(['https://a.example', 'https://b.example'], (_request, response) => {
    response.end()
  })
  const allowed = async (origin: string): Promise<string | null> =>
    (await answerTo(app, { headers: { origin } })).headers.get('access-control-allow-origin')
  expect(await allowed('https://a.example')).toBe('https://a.example')
  expect(await allowed('https://b.example')).toBe('https://b.example')
  expect(await allowed('https://c.example')).toBeNull()
  const preflight = await answerTo(app, { method: 'OPTIONS', headers: { origin: 'https://b.example' } })
  expect([preflight.status, preflight.headers.get('access-control-allow-origin')]).toEqual([
    204,
    'https://b.example',
  ])
})

test('a handler that fails, at once or later, ends the turn', async () => {
  const seen: unknown[] = []
  const turn = (handler: RequestHandler): void => {
    const both = inTurn(handler, () => void seen.push('went on'))
    void both({} as never, {} as never, (error?: unknown) => void seen.push(error))
  }
  turn(() => {
    throw new TypeError('at once')
  })
  turn((_request, _response, next) => next(new TypeError('later')))
  turn((_request, _response, next) => next())
  expect(seen).toEqual([new TypeError('at once'), new TypeError('later'), 'went on'])
})

test('requests and answers are the app’s own, before it sees them', async () => {
  const app = express()
  app.get('/', (request, response) => {
    response.json([request.app === app, response.app === app, request.path])
  })
  const seen: boolean[] = []
  const server = createServer(messageClasses(app), (request, response) => {
    const before = [Object.getPrototypeOf(request), Object.getPrototypeOf(response)]
    app(request as never, response as never)
    seen.push(Object.getPrototypeOf(request) === before[0], Object.getPrototypeOf(response) === before[1])
  })
  await using listener = await listening(server)
  expect(await (await fetch(listener.url)).json()).toEqual([true, true, '/'])
  expect(seen).toEqual([true, true])
})
