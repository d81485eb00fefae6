/** What fails in front of Express, where nobody else catches it. */
import { createTokenVerifier } from '@gw/auth'
import type { RequestHandler } from 'express'
import { expect, test } from 'vitest'
import { createHttpApp } from '../src/http/app.ts'
import { createHttpServer } from '../src/http/http-server.ts'
import { listening } from './harness/listening.ts'
import { secret, tokenOf } from './harness/platform.ts'

const pass: RequestHandler = (_request, _response, next) => next()

async function serve(context: RequestHandler) {
  const failures: unknown[] = []
  const verifier = createTokenVerifier({ keys: [{ kind: 'secret', secret }] })
  const handler: RequestHandler = () => Promise.reject(new Error('proxy'))
  const { listener, messages } = createHttpApp({
    corsOrigins: ['http://localhost:3000'],
    readiness: { notReadyReason: () => undefined },
    verifier,
    onAuthRefused: () => {},
    context,
    limitBeforeAuth: pass,
    limitAfterAuth: pass,
    proxies: [{ prefix: '/proxied', handler }],
    routes: [],
    hasApiPage: false,
    budgetMs: 1000,
    onDefect: (error) => failures.push(error),
  })
  const server = await listening(createHttpServer(listener, { messages }))
  return {
    failures,
    ask: (path: string) =>
      fetch(server.url + path, { headers: { authorization: `Bearer ${tokenOf('ann')}` } }),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await verifier.close()
    },
  }
}

test.each([
  ['at once, in front of Express', '/a%2fb'],
  ['later, in front of Express', '/proxied/x'],
  ['in Express', '/nothing'],
])(
  'an error that cannot be answered, %s, ends its connection and is told; the next request is served',
  async (_where, path) => {
    await using app = await serve((request, response, next) => {
      const failing = (): never => {
        throw new Error('no header')
      }
      if (request.url === path) Object.assign(response, { setHeader: failing })
      next()
    })
    await expect(app.ask(path)).rejects.toThrow('fetch failed')
    expect(app.failures).toContainEqual(new Error('no header'))
    expect((await app.ask('/health')).status).toBe(200)
  },
)

test('what a handler in front of Express throws or rejects with is a 500, and is told', async () => {
  await using app = await serve((request, _response, next) => {
    if (request.url === '/throws') throw new Error('context')
    next()
  })
  for (const path of ['/throws', '/proxied/x']) {
    const response = await app.ask(path)
    expect([response.status, await response.json()]).toMatchObject([500, { code: 'internal' }])
  }
  expect(app.failures).toEqual([new Error('context'), new Error('proxy')])
})
