/** The admin port: what it reads in a path, and what it refuses. */
import { Router } from 'express'
import { expect, test } from 'vitest'
import { createAdminServer } from '../src/admin/admin-server.ts'
import { raw, statuses } from './harness/raw-http.ts'

const token = 'admin-port-only-for-tests-0123456789-abc'

async function adminPort(): Promise<{ readonly url: string } & AsyncDisposable> {
  const routes = Router()
  routes.get('/users/:userId', ({ params }, response) => void response.json(params))
  const server = createAdminServer({
    host: '127.0.0.1',
    port: 0,
    token,
    routes,
    onRefused: () => {},
    onError: (error) => {
      throw error
    },
  })
  const port = await server.listen()
  return { url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: () => server.close() }
}

test('a user whose id has separators in it is found by it', async () => {
  await using admin = await adminPort()
  for (const userId of ['auth0/ann', 'DOMAIN\\ben', 'https://id.example/u?1#2', '%2f']) {
    const response = await fetch(`${admin.url}/api/users/${encodeURIComponent(userId)}`, {
      headers: { authorization: `Bearer ${token}` },
    })
    expect([response.status, await response.json()]).toEqual([200, { userId }])
  }
})

test('two Hosts, an unknown transfer coding, and paths with dots or bare separators are refused', async () => {
  await using admin = await adminPort()
  const send = async (path: string, fields = ''): Promise<readonly string[]> =>
    statuses(
      await raw(`GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n${fields}\r\n`, admin),
    )
  const path = '/api/users/ann'
  expect(await send(path, 'Host: y\r\n')).toEqual(['400'])
  expect(await send(path, 'Transfer-Encoding: gzip, chunked\r\n')).toEqual(['400'])
  for (const target of ['/api/users/%2e%2e', '/api/users//ann', '/api/users/a\\b', '/api/users/%00'])
    expect([target, await send(target)]).toEqual([target, ['400']])
})
