/** The API document is true: each of its examples, sent to a running gateway, gets the status and the shape it states. */
import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterAll, expect, test } from 'vitest'
import { z } from 'zod'
import { documentApi } from '../src/http/document-api.ts'
import type { Operation } from '../src/http/openapi.ts'
import { exampleIds } from '../src/http/routes/answers.ts'
import { startSingle } from './harness/fleet.ts'
import { startGateway } from './harness/platform.ts'

const single = await startSingle({
  env: {
    VAPID_PUBLIC_KEY: 'public-key',
    API_DOCS: 'true',
    GRPC_CLIENT_TIMEOUT_MS: '20000',
    REQUEST_BUDGET_MS: '20000',
  },
  demo: { HAND_START_DELAY_MS: '1', NEXT_HAND_DELAY_MS: '600000' },
})
afterAll(() => single[Symbol.asyncDispose]())
const { gateway } = single

const document = documentApi()
const cases = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).flatMap(([method, operation]) =>
    operation['x-examples'].map((shown) => ({
      name: `${method.toUpperCase()} ${path}: ${shown.summary}`,
      path,
      method,
      operation,
      ...shown,
    })),
  ),
)

/** Validates `value` against the schema that the operation gives for a status, references resolved by the document. */
function problemsOf(operation: Operation, status: number, value: unknown): unknown {
  const key = [String(status), `${String(status)[0]}XX`].find((name) => name in operation.responses)
  if (key === undefined) return `the document has no response ${status}`
  const response = z
    .object({ content: z.record(z.string(), z.object({ schema: z.unknown() })).optional() })
    .parse(operation.responses[key])
  const schema = response.content?.['application/json']?.schema
  if (schema === undefined) return value === '' ? [] : 'a body where none is documented'
  const ajv = new Ajv2020({ strict: false })
  const validate = ajv.compile({
    ...(schema as object),
    components: document.components,
    $id: 'https://gateway.invalid/schema',
  })
  return validate(value) ? [] : validate.errors
}

const playing = z.object({ state: z.object({ hand: z.object({ hand_id: z.string(), turn: z.int() }) }) })
const listed = z.object({
  events: z.array(z.object({ event_id: z.string(), hand_id: z.string().optional() })).min(1),
})

/** A table of the caller in the middle of a hand, with the two in its seats 0 and 1; and who is to act. */
async function startHand(
  owner: string,
  [first, second]: readonly [string, string],
): Promise<{ tableId: string; actor: string }> {
  const tableId = await gateway.createTable(owner, { maxPlayers: 9 })
  for (const [seatId, userId] of [first, second].entries()) await gateway.takeSeat(userId, tableId, seatId)
  const state = async () => (await gateway.fetch(`/api/tables/${tableId}/state`, { userId: owner })).json()
  await expect.poll(async () => playing.safeParse(await state()).success, { timeout: 15_000 }).toBe(true)
  const { hand } = playing.parse(await state()).state
  return { tableId, actor: hand.turn === 0 ? first : second }
}

/** A hand that was played to its end at a table of the caller, and one of its events. */
async function playHand(owner: string): Promise<{ handId: string; eventId: string }> {
  const { tableId, actor } = await startHand(owner, [owner, `other-${owner}`])
  const fold = { userId: actor, method: 'POST', body: { actionType: 'FOLD' } }
  expect((await gateway.fetch(`/api/tables/${tableId}/action`, fold)).status).toBe(200)
  const list = async (): Promise<unknown> =>
    (
      await gateway.fetch(`/api/audit/events?tableId=${tableId}&types=HAND_COMPLETED`, { userId: owner })
    ).json()
  await expect.poll(async () => listed.safeParse(await list()).success, { timeout: 15_000 }).toBe(true)
  const [event] = listed.parse(await list()).events
  return { handId: event?.hand_id ?? '', eventId: event?.event_id ?? '' }
}

test('the gateway serves the document, and a page of it that loads nothing', async () => {
  const response = await gateway.fetch('/openapi.json')
  expect([response.status, response.headers.get('content-type')]).toEqual([
    200,
    'application/json; charset=utf-8',
  ])
  expect(await response.json()).toEqual(JSON.parse(JSON.stringify(document)))
  const page = await gateway.fetch('/docs')
  const html = await page.text()
  expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8')
  for (const path of Object.keys(document.paths)) expect(html).toContain(`<code>${path}</code>`)
  expect(html).not.toMatch(/<script|https?:\/\/(?!push\.example)/)
})

test('every operation has an example that succeeds or is refused on purpose, and names of its own', () => {
  const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods))
  expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length)
  for (const { operationId, 'x-examples': examples } of operations)
    expect([operationId, examples.length > 0]).toEqual([operationId, true])
})

test.each([
  {
    what: 'too many requests',
    env: { HTTP_RATE_LIMIT_MAX: '1' },
    status: 429,
    code: 'RATE_LIMITED',
    reason: null,
  },
  {
    what: 'limits that cannot be asked',
    env: { REDIS_URL: 'redis://127.0.0.1:1', HTTP_RATE_LIMIT_FAIL_OPEN: 'false' },
    status: 503,
    code: 'SERVICE_UNAVAILABLE',
    reason: 'limits_unavailable',
  },
])('the limiter’s answers are as documented: $what', async ({ env, status, code, reason }) => {
  await using limited = await startGateway(env)
  const ask = (accept: string) => limited.fetch('/api/me', { userId: 'ann', headers: { accept } })
  const operation = document.paths['/api/me']?.['get']
  if (operation === undefined) throw new Error('no operation')
  await (await ask('*/*')).text()
  const plain = await ask('*/*')
  const body: unknown = await plain.json()
  expect([plain.status, body]).toEqual([
    status,
    { code, message: expect.any(String), requestId: plain.headers.get('x-request-id') },
  ])
  expect([plain.headers.get('x-gateway-reason'), problemsOf(operation, status, body)]).toEqual([reason, []])
  const problem = await ask('application/problem+json')
  expect(problem.headers.get('content-type')).toBe('application/problem+json; charset=utf-8')
  expect(await problem.json()).toMatchObject({
    status,
    code,
    detail: expect.any(String),
    instance: '/api/me',
  })
})

test.each(cases)('$name → $status', async ({ path, method, operation, status, ...example }) => {
  // One user a case, so that none sees what another did; Balance's examples are about `ann`.
  const isAccount = path.startsWith('/api/accounts')
  const user = isAccount ? 'ann' : `ann-${operation.operationId}-${example.summary}`.replaceAll(/\W/g, '')
  const text = JSON.stringify(example)
  let actor = user
  const real: Record<string, string> = {}
  if (text.includes(exampleIds.tableId)) {
    // Who is to join, or to moderate, has no seat yet.
    const seated = /\/(?:leave|action)$/.test(path) && !path.includes('spectate')
    // Whom an example names sits there; else nobody plays at two tables, and runs out of chips.
    const other = text.includes(exampleIds.friendId) ? exampleIds.friendId : `second-${user}`
    const hand = await startHand(user, [seated ? user : `other-${user}`, other])
    real[exampleIds.tableId] = hand.tableId
    if (path.endsWith('/action')) actor = hand.actor
    if (path.endsWith('/spectate/leave'))
      await gateway.fetch(`/api/tables/${hand.tableId}/spectate`, { userId: user, method: 'POST' })
  }
  if (text.includes(exampleIds.handId) || text.includes(exampleIds.eventId)) {
    const { handId, eventId } = await playHand(user)
    Object.assign(real, { [exampleIds.handId]: handId, [exampleIds.eventId]: eventId })
  }
  if (isAccount) {
    const deposit = { amount: 100, source: 'BONUS' }
    const headers = { 'Idempotency-Key': `before-${operation.operationId}` }
    if (path !== '/api/accounts/{accountId}')
      await gateway.fetch('/api/accounts/ann/deposit', {
        userId: 'ann',
        method: 'POST',
        body: deposit,
        headers,
      })
  }
  const put = (value: unknown): string =>
    Object.entries(real).reduce((filled, [id, own]) => filled.replaceAll(id, own), String(value))
  const query = new URLSearchParams(
    Object.entries(example.query ?? {}).map(([name, value]): [string, string] => [name, put(value)]),
  )
  const target = path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(put(example.params?.[name])),
  )
  const response = await gateway.fetch(`${target}${query.size > 0 ? `?${query.toString()}` : ''}`, {
    ...(operation.security === undefined && { userId: actor }),
    method: method.toUpperCase(),
    headers: example.headers ?? {},
    ...(example.body !== undefined && { body: JSON.parse(put(JSON.stringify(example.body))) as unknown }),
  })
  const answer = await response.text()
  const body: unknown = answer === '' ? '' : JSON.parse(answer)
  expect([response.status, problemsOf(operation, response.status, body), body]).toEqual([
    status,
    [],
    expect.anything(),
  ])
})
