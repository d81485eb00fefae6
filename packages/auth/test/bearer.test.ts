import { describe, expect, it } from 'vitest'
import { extractMessageToken, extractSocketToken, redactUrl } from '../src/index.ts'

const header = ['Authorization', 'Bearer a.b.c']
const protocol = ['Sec-WebSocket-Protocol', 'chat.v1, bearer.a.b.c']

describe('extractSocketToken', () => {
  it('finds the token in each place', () => {
    expect(extractSocketToken({ rawHeaders: header })).toEqual({
      ok: true,
      token: 'a.b.c',
      source: 'header',
      protocols: [],
    })
    expect(extractSocketToken({ rawHeaders: protocol })).toEqual({
      ok: true,
      token: 'a.b.c',
      source: 'protocol',
      protocols: ['chat.v1'],
    })
    expect(extractSocketToken({ rawHeaders: [], url: '/ws?x=1&token=a.b.c' }, { query: true })).toEqual({
      ok: true,
      token: 'a.b.c',
      source: 'query',
      protocols: [],
    })
  })

  it('ignores the query unless enabled, and empty tokens', () => {
    const missing = { ok: false, reason: 'missing', protocols: [] }
    expect(extractSocketToken({ rawHeaders: [], url: '/ws?token=a.b.c' })).toEqual(missing)
    expect(extractSocketToken({ rawHeaders: [], url: '/ws?token=' }, { query: true })).toEqual(missing)
    expect(extractSocketToken({ rawHeaders: [], url: '/ws' }, { query: true })).toEqual(missing)
    expect(extractSocketToken({ rawHeaders: ['Sec-WebSocket-Protocol', 'bearer.'] })).toEqual(missing)
  })

  it.each([
    ['header and protocol', [...header, ...protocol], '/ws'],
    ['header and query', header, '/ws?token=a.b.c'],
    ['protocol and query', protocol, '/ws?token=a.b.c'],
    ['two headers', [...header, ...header], '/ws'],
    [
      'two protocol items',
      ['sec-websocket-protocol', 'bearer.a', 'Sec-WebSocket-Protocol', 'bearer.b'],
      '/ws',
    ],
    ['two query values', [], '/ws?token=a&token=a'],
  ])('refuses %s', (_name, rawHeaders, url) => {
    expect(extractSocketToken({ rawHeaders, url }, { query: true })).toMatchObject({
      ok: false,
      reason: 'conflict',
    })
  })
})

describe('extractMessageToken', () => {
  const upgrade = extractSocketToken({ rawHeaders: header })

  it('takes the token of a first message', () => {
    expect(extractMessageToken({ type: 'Hello', token: ' a.b.c ' })).toMatchObject({
      ok: true,
      token: 'a.b.c',
      source: 'message',
    })
    for (const message of [
      null,
      'a.b.c',
      {},
      { token: 7 },
      { token: ' ' },
      Object.create({ token: 'inherited' }),
    ])
      expect(extractMessageToken(message)).toMatchObject({ ok: false, reason: 'missing' })
  })

  it('refuses one that contradicts the upgrade', () => {
    expect(extractMessageToken({ token: 'other' }, upgrade)).toMatchObject({ ok: false, reason: 'conflict' })
    expect(extractMessageToken({ token: 'a.b.c' }, upgrade)).toBe(upgrade)
    expect(extractMessageToken({}, upgrade)).toBe(upgrade)
    const conflict = extractSocketToken({ rawHeaders: [...header, ...header] })
    expect(extractMessageToken({ token: 'a.b.c' }, conflict)).toBe(conflict)
  })
})

it('redactUrl hides tokens and nothing else', () => {
  expect(redactUrl('/ws?a=1&token=a.b.c&b=2#token=x')).toBe('/ws?a=1&token=***&b=2#token=x')
  expect(redactUrl('/x?access_token=s&TOKEN=t')).toBe('/x?access_token=***&TOKEN=***')
  expect(redactUrl('/x?mytoken=1&tokens=2')).toBe('/x?mytoken=1&tokens=2')
})
