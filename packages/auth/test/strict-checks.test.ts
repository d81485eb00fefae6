import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { extractClaims, isExpired } from '../src/index.ts'
import { isCanonicalBase64url } from '../src/base64url.ts'
import { maxTokenBytes, parseToken } from '../src/parsed-token.ts'
import { parseStrictJson } from '../src/strict-json.ts'
import { encode, makeToken, nowMs, nowS } from './make-token.ts'

describe('isCanonicalBase64url', () => {
  it('says yes to exactly the text that the bytes encode to', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const segment = fc.string({ unit: fc.constantFrom(...alphabet.split('')), minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(segment, (text) => {
        expect(isCanonicalBase64url(text)).toBe(Buffer.from(text, 'base64url').toString('base64url') === text)
      }),
      { numRuns: 2000 },
    )
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1 }), (bytes) => {
        expect(isCanonicalBase64url(Buffer.from(bytes).toString('base64url'))).toBe(true)
      }),
    )
  })
})

describe('parseStrictJson', () => {
  const name = fc.string({ unit: 'binary', maxLength: 6 }).filter((text) => text !== '__proto__')
  const object = fc.dictionary(name, fc.jsonValue({ maxDepth: 3 }))
  const hasProto = (text: string): boolean => text.includes('"__proto__"')

  it('reads every object that JSON.stringify writes, as JSON.parse does', () => {
    fc.assert(
      fc.property(object, fc.constantFrom(undefined, 1, '\t'), (value, indent) => {
        const text = JSON.stringify(value, null, indent)
        fc.pre(!hasProto(text) && Buffer.from(text).toString() === text)
        expect(parseStrictJson(Buffer.from(text))).toEqual({ ok: true, value: JSON.parse(text) })
      }),
      { numRuns: 500 },
    )
  })

  it('refuses an object as soon as one of its names is there twice, at any depth and in any spelling', () => {
    const escaped = (text: string): string =>
      `"${[...Array(text.length).keys()].map((at) => String.raw`\u` + text.charCodeAt(at).toString(16).padStart(4, '0')).join('')}"`
    fc.assert(
      fc.property(object, name, fc.nat(6), (value, twice, depth) => {
        const { [twice]: _dropped, ...rest } = value
        const members = Object.entries(rest).map(
          ([key, member]) => `${JSON.stringify(key)}:${JSON.stringify(member)}`,
        )
        const doubled = `{${[`${escaped(twice)}:1`, ...members, `${JSON.stringify(twice)}:2`].join(',')}}`
        fc.pre(!hasProto(doubled) && Buffer.from(doubled).toString() === doubled)
        const text = `${'{"a":[1,'.repeat(depth)}${doubled}${']}'.repeat(depth)}`
        expect(parseStrictJson(Buffer.from(text))).toEqual({ ok: false, code: 'duplicate_member' })
      }),
      { numRuns: 500 },
    )
  })

  it('counts names by their quotes, not by what looks like one', () => {
    for (const text of [
      String.raw`{"a":"\":{\"a\":1}"}`,
      String.raw`{"a\\":":","b":"\\\\"}`,
      '{"":"","::":[":"]}',
    ])
      expect(parseStrictJson(Buffer.from(text))).toEqual({ ok: true, value: JSON.parse(text) })
  })
})

describe('parseToken', () => {
  it('never throws, and accepts no text that is not its own canonical form', () => {
    const part = fc.oneof(fc.base64String(), fc.string(), fc.json().map(encode))
    fc.assert(
      fc.property(fc.array(part, { maxLength: 5 }), (parts) => {
        const token = parts.join('.')
        const parsed = parseToken(token)
        if (!parsed.ok) return
        const { signingInput, signature } = parsed.value
        expect(`${signingInput}.${signature.toString('base64url')}`).toBe(token)
      }),
      { numRuns: 2000 },
    )
  })

  it('accepts one spelling only: any one character changed, added or removed is another token or none', () => {
    const token = makeToken()
    const bytes = (text: string): string => {
      const parsed = parseToken(text)
      return parsed.ok ? `${parsed.value.signingInput} ${parsed.value.signature.toString('hex')}` : 'refused'
    }
    const original = bytes(token)
    fc.assert(
      fc.property(
        fc.nat(token.length),
        fc.string({ minLength: 0, maxLength: 1 }),
        fc.nat(1),
        (at, piece, removed) => {
          const changed = token.slice(0, at) + piece + token.slice(at + removed)
          fc.pre(changed !== token)
          expect(bytes(changed)).not.toBe(original)
        },
      ),
      { numRuns: 1000 },
    )
  })

  it('refuses repeated parts up to the largest size', () => {
    for (const unit of ['.', 'a.', 'A', 'eyJ9.'])
      expect(parseToken(unit.repeat(maxTokenBytes).slice(0, maxTokenBytes)).ok).toBe(false)
  })
})

describe('extractClaims', () => {
  it('reads named claims of the right type, and nothing else', () => {
    const payload = { sub: 'u1', exp: 5, iat: 'x', aud: ['a'], nickname: 'N', secret: 's', jti: 7 }
    expect(extractClaims(makeToken({ payload }))).toEqual({ sub: 'u1', exp: 5, aud: ['a'], nickname: 'N' })
  })

  it('is undefined for what is no token', () => {
    for (const text of ['', 'a.b.c', 'x'.repeat(9000), `${encode('[]')}.${encode('[]')}.AA`])
      expect(extractClaims(text)).toBeUndefined()
  })
})

describe('isExpired', () => {
  it('is true from exp on, and for claims without a usable exp', () => {
    expect(isExpired({ exp: nowS }, { nowMs })).toBe(true)
    expect(isExpired({ exp: nowS }, { nowMs: nowMs - 1 })).toBe(false)
    expect(isExpired({ exp: nowS }, { nowMs, skewMs: 1 })).toBe(false)
    expect(isExpired({ exp: Date.now() / 1000 + 60 })).toBe(false)
    for (const exp of [undefined, null, '9999999999', NaN, -1, 1e300])
      expect(isExpired({ exp }, { nowMs })).toBe(true)
  })
})
