import { createServer, request } from 'node:http'
import { once } from 'node:events'
import express from 'express'
import { expect, test } from 'vitest'
import { requestGuard } from '../src/http/request-guard.ts'
import { sendError } from '../src/http/send-error.ts'
import { listening } from './harness/listening.ts'

async function statusOf(port: number, path: string): Promise<number | undefined> {
  const outgoing = request({ host: '127.0.0.1', port, path })
  outgoing.end()
  const [response] = await once(outgoing, 'response')
  response.resume()
  return response.statusCode
}

test('a path that two servers could read differently is refused, an ordinary one is not', async () => {
  const app = express()
  app.use(requestGuard())
  app.use((_req, res) => void res.status(204).end())
  // Express tells error handlers by their four parameters.
  // oxlint-disable-next-line max-params
  app.use((error: unknown, _req: express.Request, res: express.Response, _next: express.NextFunction) =>
    sendError(res, error),
  )
  await using server = await listening(createServer(app))
  const refused = [
    '/a/%2e%2e/b',
    '/a/../b',
    '/a/./b',
    '/a%2Fb',
    '/a%5cb',
    '/a\\b',
    '//a',
    '/a//b',
    '/a;x=1',
    '/a%00',
    '/a%zz',
    'http://evil.example/a',
  ]
  for (const path of refused) expect([path, await statusOf(server.port, path)]).toEqual([path, 400])
  const fine = [
    '/',
    '/api/tables/abc-123',
    '/api/tables?name=a%2Fb//..',
    '/api/profile/%E6%9D%8E',
    '/api/profile/a@b.c',
    '/a..b/c.d',
  ]
  for (const path of fine) expect([path, await statusOf(server.port, path)]).toEqual([path, 204])
})
