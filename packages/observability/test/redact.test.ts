import { array, assert, constantFrom, oneof, property, string, tuple } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRedactor, createRules } from '../src/redact.ts'
import { testLogger } from './lines.ts'

const canary = 'CANARY'
const token = [
  Buffer.from('{"alg":"HS256","typ":"JWT"}').toString('base64url'),
  Buffer.from(`{"sub":"${canary}"}`).toString('base64url'),
  `${canary}-signature`,
].join('.')
const chatText = `${canary} says hello, world & "more"`
const redact = { fields: ['cards', 'card'], patterns: [/\bCANARY-CARD-\w+/] }

// Where a secret can stand on a log line. Each must come out without it.
const sinks: Record<string, Record<string, unknown>> = {
  'a field of that name': { token, authorization: `Bearer ${token}`, cookie: `session=${canary}` },
  'a header map': { headers: { 'X-Auth-Token': canary, 'Sec-WebSocket-Protocol': `bearer, ${canary}` } },
  'any string, by its shape': { note: `saw ${token}.`, list: [token], url: new URL(`ws://h/?x=${token}`) },
  'a cut-off token': { note: token.slice(0, 30) + canary },
  'a query string': { url: `/ws?a=1&access_token=${canary}&b=2` },
  'an authorization line': { note: `Authorization: Bearer ${canary}-1` },
  'a password in a URL': { note: `connect redis://user:${canary}@redis:6379 failed` },
  'card fields, in any spelling': {
    holeCards: [{ rank: canary, suit: 's' }],
    hole_cards: canary,
    state: { seats: [{ 'community-cards': [canary] }] },
  },
  'cards by pattern': { note: 'dealt CANARY-CARD-As to the player' },
  'message text': { message: { id: 1, text: chatText }, text: chatText, body: chatText, content: chatText },
  'a raw frame': { frame: JSON.stringify({ type: 'ChatSend', message: chatText, cards: [[canary]] }) },
  'a frame inside a frame': { frame: JSON.stringify({ payload2: JSON.stringify({ text: chatText }) }) },
  'a map': { map: new Map([['token', canary]]) },
  'an error that quotes its input': { text: chatText, err: new Error(`cannot store ${chatText}`) },
  'the cause of an error': { err: new Error('outer', { cause: new Error(`bad token ${token}`) }) },
  'the stack of an error': { err: new Error(`Authorization: Bearer ${canary}1`) },
  'a parse error': { err: parseError(canary) },
  'fields of an error': { err: Object.assign(new Error('x'), { body: chatText, code: token }) },
}

function parseError(input: string): unknown {
  try {
    return JSON.parse(input)
  } catch (error) {
    return error
  }
}

describe('no secret reaches the output', () => {
  it.each(Object.entries(sinks))('in %s', (_place, context) => {
    const { logger, sink } = testLogger({ redact })
    logger.error('event', context)
    logger.child(context).info('event')
    expect(sink.lines).toHaveLength(2)
    expect(sink.text).not.toContain(canary)
    expect(sink.text).not.toContain(Buffer.from(canary).toString('base64url').slice(0, 6))
    expect(sink.text).toContain('[redacted]')
  })

  it('in the event name', () => {
    const { logger, sink } = testLogger()
    logger.info(`login with ${token}`)
    expect(sink.lines[0]?.['msg']).toBe('login with [redacted]')
  })

  it('whatever stands around a token', () => {
    const { text } = createRedactor()
    const around = string({ maxLength: 20 }).filter((s) => !/[\w-]$/.test(s))
    assert(
      property(tuple(around, string({ maxLength: 20 })), ([before, after]) => {
        expect(text(`${before}${token} ${after}`)).not.toContain(canary)
      }),
    )
  })

  it('whatever the value of a sensitive JSON field is', () => {
    const { text } = createRedactor(redact)
    assert(
      property(constantFrom('token', 'text', 'message', 'holeCards'), string(), (name, value) => {
        const out = text(JSON.stringify({ id: 'kept', [name]: `${value}${canary}`, type: 'T' }))
        expect(out).not.toContain(canary)
        expect(out).toContain('"id":"kept"')
      }),
    )
  })
})

describe('what is not secret', () => {
  it.each([
    'Missing bearer token',
    'connect ECONNREFUSED 127.0.0.1:6379',
    '14 UNAVAILABLE: No connection established. Last error: connect ECONNREFUSED',
    '/api/things/:thingId/state?limit=5',
    'context: kept, tokenExpiresAt=5, content-length: 12',
    '2026-11-23T12:00:00.005Z 01890a5d-ac96-774b-bcce-b302099a8057',
    'module.path.with.dots/and-dashes.ts:10:5',
  ])('stays readable: %s', (value) => {
    expect(createRedactor(redact).text(value)).toBe(value)
  })

  it('keeps fields whose name only begins like a secret one', () => {
    const { logger, sink } = testLogger({ redact })
    logger.info('event', {
      tokenExpiresAt: 5,
      textLength: 3,
      cardinality: 2,
      authorizationMs: 1,
      token: null,
    })
    expect(sink.lines[0]).toMatchObject({
      tokenExpiresAt: 5,
      textLength: 3,
      cardinality: 2,
      authorizationMs: 1,
      token: null,
    })
  })

  it('is masked once: a second pass changes nothing', () => {
    const { text } = createRedactor(redact)
    assert(
      property(string({ maxLength: 200 }), (value) => {
        const once = text(`${value} "text":"${canary}",\n${token} token=${canary}`)
        expect(text(once)).toBe(once)
      }),
    )
  })
})

it('stays fast on strings that are built to be slow', () => {
  const { text } = createRedactor(redact)
  const hostile = ['\\', '"', "'", 'eyJ', 'a:', '//', '"a" ', 'bearer ', 'a=', '-eyJ', '{"token":', ' ']
  for (const part of hostile) {
    const value = part.repeat(Math.ceil(8192 / part.length))
    const before = process.cpuUsage()
    text(value)
    const { user, system } = process.cpuUsage(before)
    expect((user + system) / 1000, JSON.stringify(part)).toBeLessThan(100)
  }
})

it('masks the same with the quick test in front of the rules as without', () => {
  const [quick, all] = [createRedactor({ fields: ['card'] }), createRules({ fields: ['card'] })]
  const parts = constantFrom(
    ...'eyJ ewo ey Bearer bearer BEARER Basic basic // @ : = . \' " token card text abcdefghijklmno'.split(
      ' ',
    ),
    ' ',
    canary,
    token,
  )
  assert(
    property(array(oneof(parts, string({ maxLength: 8 })), { maxLength: 12 }), (pieces) => {
      const value = pieces.join('')
      expect(quick.text(value)).toBe(all.text(value))
      if (quick.isPlain(value)) expect(JSON.stringify(all.text(value))).toBe(`"${value}"`)
    }),
    { numRuns: 2000 },
  )
})
