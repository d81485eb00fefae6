/**
 * What clients got from the gateway in service before, replayed in order: the same status, and a body of the same shape.
 * Where ours answers differently on purpose, `improved` says how.
 */
import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { afterAll, expect, test } from 'vitest'
import { z } from 'zod'
import { startSingle } from './harness/fleet.ts'
import { secret, tokenOf } from './harness/platform.ts'

const sampleShape = z.object({
  label: z.string(),
  user: z.string(),
  method: z.string(),
  path: z.string(),
  headers: z.record(z.string(), z.string()).default({}),
  body: z.json().optional(),
  status: z.int(),
  cors: z.record(z.string(), z.string()).optional(),
  answer: z.json(),
})
const { samples } = z
  .object({ samples: z.array(sampleShape) })
  .parse(JSON.parse(readFileSync(new URL('fixtures/contract-samples.json', import.meta.url), 'utf8')))

/** Answers that were wrong before, or told too much, and what they are now. */
const improved: Readonly<Record<string, number>> = {
  'bad-json-noauth': 401,
  'table-state-unknown': 404,
  'mute-by-nonowner': 403,
  'kick-nonowner': 403,
  'table-delete-by-nonowner': 403,
  'table-delete-unknown': 404,
  // No record of a hand was ever made then; the demo makes one.
  'audit-hand': 200,
}

const single = await startSingle({
  env: { VAPID_PUBLIC_KEY: 'public-key', GRPC_CLIENT_TIMEOUT_MS: '20000', REQUEST_BUDGET_MS: '20000' },
  demo: { HAND_START_DELAY_MS: '1', NEXT_HAND_DELAY_MS: '1' },
})
afterAll(() => single[Symbol.asyncDispose]())
const { gateway } = single

/** Ids of the samples, and what stands in their place now. */
const now = new Map<string, string>()
const sampleTable = 'e188957e-0b86-4488-8447-b4fd79d7fbf9'
const sampleEvent = '8d61be4c-6d51-4e62-a8c9-e583569532a6'
const sampleHand = '3df530c7-6583-4886-84a2-41c8aaed08eb'
const [alice, bob] = ['alice-923524', 'bob-923524']

function jwt(header: object, claims: object, key: string): string {
  const [head, body] = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
  const signature = key === '' ? '' : createHmac('sha256', key).update(`${head}.${body}`).digest('base64url')
  return `${head}.${body}.${signature}`
}

const seconds = Math.floor(Date.now() / 1000)
const claims = { sub: 'x', iat: seconds, exp: seconds + 3600 }
const hs256 = { alg: 'HS256', typ: 'JWT' }
const odd: Readonly<Record<string, string>> = {
  'bad-token': 'Bearer abc.def.ghi',
  'non-bearer': 'Basic abc',
  expired: `Bearer ${jwt(hs256, { ...claims, iat: seconds - 7200, exp: seconds - 3600 }, secret)}`,
  'no-sub': `Bearer ${jwt(hs256, { ...claims, sub: undefined }, secret)}`,
  'wrong-secret': `Bearer ${jwt(hs256, claims, 'another-secret-of-enough-length-0123456789')}`,
  'alg-none': `Bearer ${jwt({ alg: 'none' }, claims, '')}`,
  'with-kid': `Bearer ${jwt({ ...hs256, kid: 'k1' }, claims, secret)}`,
}

const names: Readonly<Record<string, string>> = { alice, bob, carol: 'carol-923524', admin: 'admin-923524' }

async function actorAt(tableId: string): Promise<{ acting: string; waiting: string } | undefined> {
  const response = await gateway.fetch(`/api/tables/${tableId}/state`, { userId: alice })
  const playing = z
    .object({ state: z.object({ hand: z.object({ turn: z.int() }) }) })
    .safeParse(await response.json())
  // Between hands it is nobody's turn.
  if (!playing.success || ![0, 1].includes(playing.data.state.hand.turn)) return undefined
  return playing.data.state.hand.turn === 0
    ? { acting: alice, waiting: bob }
    : { acting: bob, waiting: alice }
}

async function authorizationOf(user: string): Promise<string | undefined> {
  if (user === 'none') return undefined
  if (user in odd) return odd[user]
  if (user === 'acting' || user === 'waiting') {
    const tableId = now.get(sampleTable) ?? ''
    await expect.poll(() => actorAt(tableId), { timeout: 15_000 }).toBeDefined()
    return `Bearer ${tokenOf((await actorAt(tableId))?.[user] ?? '')}`
  }
  const name = names[user] ?? user
  const admin = user === 'admin' ? { admin: true } : {}
  return `Bearer ${tokenOf(name, { preferred_username: `${name}-name`, ...admin })}`
}

type Shape = string | { readonly [member: string]: Shape } | readonly Shape[]

/** Arrays become one element that has what all of them have; names that only some have end in `?`. */
function shapeOf(value: unknown, name = ''): Shape {
  if (value === null || name === 'avatarUrl') return 'string or null'
  if (Array.isArray(value)) return value.length === 0 ? [] : [merge(value.map((item) => shapeOf(item)))]
  if (typeof value !== 'object') return typeof value
  // Keys that are data, and values whose kind differs from one to the next.
  if (['fields', 'round_contributions', 'metadata'].includes(name)) return 'map'
  return Object.fromEntries(Object.entries(value).map(([member, inner]) => [member, shapeOf(inner, member)]))
}

const isObject = (shape: Shape | undefined): shape is { readonly [member: string]: Shape } =>
  typeof shape === 'object' && !Array.isArray(shape)

function merge(shapes: readonly Shape[]): Shape {
  const objects = shapes.filter(isObject)
  if (objects.length < shapes.length) return shapes[0] ?? 'nothing'
  const all = new Set(objects.flatMap((shape) => Object.keys(shape)))
  return Object.fromEntries(
    [...all].map((member) => {
      const present = objects.flatMap((shape) => (member in shape ? [shape[member] ?? 'nothing'] : []))
      return [present.length < objects.length ? `${member}?` : member, merge(present)]
    }),
  )
}

/** May come and go with the state of the table: the hand, who sits, and what protobuf marks beside optional fields. */
const optional = new Set([
  'hand',
  '_hand',
  'user_id',
  '_user_id',
  'hand_id',
  '_hand_id',
  'seat_id',
  '_seat_id',
  'metadata',
  'reason',
  'ended_at',
])

function differences(was: Shape, is: Shape, path = ''): readonly string[] {
  if (Array.isArray(was) && Array.isArray(is)) {
    const [one, other] = [was[0] as Shape | undefined, is[0] as Shape | undefined]
    return one === undefined || other === undefined ? [] : differences(one, other, `${path}[]`)
  }
  if (!isObject(was) || !isObject(is))
    return was === is ? [] : [`${path}: ${JSON.stringify(was)} → ${JSON.stringify(is)}`]
  const plain = (shape: { readonly [member: string]: Shape }) =>
    new Map(
      Object.entries(shape).map(([member, inner]) => [
        member.replace(/\?$/, ''),
        { inner, isOptional: member.endsWith('?') || optional.has(member) },
      ]),
    )
  const [before, after] = [plain(was), plain(is)]
  return [...new Set([...before.keys(), ...after.keys()])].flatMap((member) => {
    const [one, other] = [before.get(member), after.get(member)]
    if (one && other) return differences(one.inner, other.inner, `${path}.${member}`)
    return one?.isOptional || other?.isOptional ? [] : [`${path}.${member}: ${one ? 'gone' : 'new'}`]
  })
}

/** What else happened between the samples: sockets played; here HTTP does. */
const before: Readonly<Record<string, () => Promise<void>>> = {
  async 'join-http-bonus'() {
    const body = { seatId: 0 }
    const path = `/api/tables/${now.get(sampleTable)}/join`
    expect((await gateway.fetch(path, { userId: alice, method: 'POST', body })).status).toBe(200)
  },
  async 'table-state-inhand-alice'() {
    await expect.poll(() => actorAt(now.get(sampleTable) ?? ''), { timeout: 15_000 }).toBeDefined()
  },
  async 'audit-event'() {
    const ofTable = `tableId=${now.get(sampleTable)}`
    const response = await gateway.fetch(`/api/audit/events?${ofTable}&types=HAND_COMPLETED`, {
      userId: alice,
    })
    const { events } = z
      .object({ events: z.array(z.object({ event_id: z.string(), hand_id: z.string() })) })
      .parse(await response.json())
    const joined = await gateway.fetch(`/api/audit/events?${ofTable}&types=PLAYER_JOINED`, { userId: alice })
    const first = z.object({ events: z.array(z.object({ event_id: z.string() })) }).parse(await joined.json())
      .events[0]
    now.set(sampleEvent, first?.event_id ?? '').set(sampleHand, events[0]?.hand_id ?? '')
  },
}

test('a difference of shape is seen: another type, a member gone or new, in a list too', () => {
  const seen = (was: unknown, is: unknown) => differences(shapeOf(was), shapeOf(is))
  expect(seen({ id: 1, list: [{ a: '1' }] }, { id: 2, list: [{ a: '9' }, { a: '8' }] })).toEqual([])
  expect(seen({ id: 1 }, { id: '1' })).toHaveLength(1)
  expect(seen({ id: 1 }, {})).toEqual(['.id: gone'])
  expect(seen([{ a: 1 }], [{ a: 1, b: 2 }])).toEqual(['[].b: new'])
})

test.each(samples)('$label: $method $path → $status', async (sample) => {
  await before[sample.label]?.()
  const authorization = await authorizationOf(sample.user)
  const path = [...now].reduce((text, [was, is]) => text.replaceAll(was, is), sample.path)
  const response = await fetch(gateway.url + path, {
    method: sample.method,
    headers: { ...sample.headers, ...(authorization !== undefined && { authorization }) },
    ...(sample.body !== undefined && {
      body: typeof sample.body === 'string' ? sample.body : JSON.stringify(sample.body),
    }),
  })
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.startsWith('application/json') === true
  expect(isJson || text === '').toBe(true)
  const answer: unknown = text === '' ? '' : JSON.parse(text)
  const status = improved[sample.label] ?? sample.status
  expect([sample.label, response.status, answer]).toEqual([sample.label, status, expect.anything()])
  if (sample.label === 'table-create')
    now.set(sampleTable, z.object({ table_id: z.string() }).parse(answer).table_id)
  for (const [name, value] of Object.entries(sample.cors ?? {}))
    expect([name, response.headers.get(name)]).toEqual([name, value])
  if (status >= 400) {
    // The text that the web client shows stays; code, message and ids are new beside it.
    const was = z
      .looseObject({ error: z.string().optional(), message: z.string().optional() })
      .safeParse(sample.answer)
    if (was.success && status === sample.status) expect(answer).toMatchObject(textsOf(was.data))
    else expect(answer).toMatchObject({ error: expect.any(String), code: expect.any(String) })
    return
  }
  if (status === sample.status) expect(differences(shapeOf(sample.answer), shapeOf(answer))).toEqual([])
})

/** The members that say what was wrong; of Balance's, `error` is the word and the text holds an id. */
function textsOf({ error, message, code }: Readonly<Record<string, unknown>>): object {
  if (error !== undefined) return { error }
  return { code, message }
}
