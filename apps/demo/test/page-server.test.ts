import jsonwebtoken from 'jsonwebtoken'
import { expect, test } from 'vitest'
import * as z from 'zod'
import { developmentSecret, loadConfig } from '../src/config.ts'
import { loadPageFiles } from '../src/page-server/page-files.ts'
import { startTestPlatform } from './test-platform.ts'

const ports = { balanceHttp: 0, balance: 0, player: 0, game: 0, event: 0, notify: 0, control: 0 }

async function startWithPage() {
  const test = await startTestPlatform({
    ports: { ...ports, page: 0 },
    tokenClaims: { issuer: 'https://id.example', audience: 'gateway' },
  })
  const url = `http://127.0.0.1:${test.platform.ports().page}/demo`
  const post = async (path: string, body: unknown, headers: Record<string, string> = {}) =>
    fetch(url + path, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json', ...headers },
    })
  return { ...test, url, post, [Symbol.asyncDispose]: () => test[Symbol.asyncDispose]() }
}

test('serves the page, which may load nothing from anywhere else', async () => {
  await using demo = await startWithPage()
  const page = await fetch(demo.url)
  expect(page.headers.get('content-type')).toContain('text/html')
  const policy = page.headers.get('content-security-policy')
  expect(policy).toContain("default-src 'none'")
  expect(policy).not.toContain('unsafe')
  for (const file of ['page.js', 'page.css']) {
    const response = await fetch(`${demo.url}/${file}`)
    expect(response.status).toBe(200)
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect((await response.text()).length).toBeGreaterThan(5000)
  }
})

test('gives short-lived tokens of the demo users, and of nobody else', async () => {
  await using demo = await startWithPage()
  const response = await demo.post('/token', { user: 'alice' })
  const { token } = z.object({ token: z.string() }).parse(await response.json())
  const claims = jsonwebtoken.verify(token, developmentSecret, {
    algorithms: ['HS256'],
    issuer: 'https://id.example',
    audience: 'gateway',
  })
  const { sub, iat, exp } = z.object({ sub: z.string(), iat: z.int(), exp: z.int() }).parse(claims)
  expect([sub, exp - iat]).toEqual(['alice', 900])
  for (const body of [{ user: 'system' }, { user: 'alice', admin: true }, {}, 'alice'])
    expect((await demo.post('/token', body)).status).toBe(400)
})

test('does nothing for the page of somebody else', async () => {
  await using demo = await startWithPage()
  const foreign = { 'sec-fetch-site': 'cross-site' }
  expect((await demo.post('/token', { user: 'alice' }, foreign)).status).toBe(403)
  expect((await demo.post('/trouble', { trouble: 'slow' }, foreign)).status).toBe(403)
  expect(demo.platform.faults.list()).toEqual([])
})

test('makes the troubles that it knows, one at a time, and ends them', async () => {
  await using demo = await startWithPage()
  expect((await demo.post('/trouble', { trouble: 'slow' })).status).toBe(204)
  expect((await demo.post('/trouble', { trouble: 'failing' })).status).toBe(204)
  expect(demo.platform.faults.list()).toMatchObject([
    { service: 'game', method: 'SubmitAction', kind: 'error', count: 3 },
  ])
  expect((await demo.post('/trouble', { trouble: 'fire' })).status).toBe(400)
  expect((await fetch(`${demo.url}/trouble`, { method: 'DELETE' })).status).toBe(204)
  expect(demo.platform.faults.list()).toEqual([])
})

test('there is no page unless it is asked for, and none but in development', async () => {
  await using demo = await startTestPlatform()
  expect(demo.platform.ports()).not.toHaveProperty('page')
  expect(loadConfig({ DEMO_PAGE_PORT: '3004' })).toEqual({
    ok: false,
    problems: ['DEMO_PAGE_PORT: is for NODE_ENV=development only'],
  })
  expect(
    loadConfig({ DEMO_PAGE_PORT: '3004', NODE_ENV: 'production', JWT_HS256_SECRET: 's'.repeat(32) }),
  ).toMatchObject({ ok: false })
  expect(loadConfig({ DEMO_PAGE_PORT: '3004', NODE_ENV: 'development' })).toMatchObject({
    ok: true,
    config: { ports: { page: 3004 } },
  })
})

test('is small enough to load at once', async () => {
  const files = await loadPageFiles()
  const script = files['page.js'].replace(/\n\/\/# sourceMappingURL=.*/, '')
  expect(Buffer.byteLength(script)).toBeLessThan(120_000)
})
