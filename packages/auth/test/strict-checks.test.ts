import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { extractClaims, isExpired } from '../src/index.ts'
import { decodeCanonical } from '../src/base64url.ts'
import { maxTokenBytes, parseToken } from '../src/parsed-token.ts'
import { parseStrictJson } from '../src/strict-json.ts'
import { encode, makeToken, nowMs, nowS } from './make-token.ts'

describe('decodeCanonical', () => {
  const form = /^[A-Za-z0-9_-]+$/
  /** Last characters whose unused bits are zero, by the length modulo 4. */
  const ends = [/.$/, /^$/, /[AQgw]$/, /[AEIMQUYcgkosw048]$/]

  it('decodes exactly the texts of RFC 4648 §5 without padding and without stray bits', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const odd = '+/= .\n\u0141\ud800\0'
    for (const characters of [alphabet, alphabet + odd]) {
      const segment = fc.string({ unit: fc.constantFrom(...characters.split('')), maxLength: 12 })
      fc.assert(
        fc.property(segment, (text) => {
          const expected = form.test(text) && ends[text.length % 4]?.test(text) === true
          expect(decodeCanonical(text) !== undefined).toBe(expected)
        }),
        { numRuns: 2000 },
      )
    }
  })

  it('gives back the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1 }), (bytes) => {
        expect(decodeCanonical(Buffer.from(bytes).toString('base64url'))).toEqual(Buffer.from(bytes))
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

  it('tells a replacement character that was meant from bytes that are no UTF-8', () => {
    expect(parseStrictJson(Buffer.from('{"a":"\ufffd"}'))).toEqual({ ok: true, value: { a: '\ufffd' } })
    for (const bytes of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82]])
      expect(
        parseStrictJson(Buffer.from([...Buffer.from('{"a":"'), ...bytes, ...Buffer.from('"}')])),
      ).toEqual({
        ok: false,
        code: 'token_malformed',
      })
  })

  it('counts names by their quotes, not by what looks like one', () => {
    for (const text of [
      String.raw`{"a":"\":{\"a\":1}"}`,
      String.raw`{"a\\":":","b":"\\\\"}`,
      '{"":"","::":[":"]}',
      '{"a" :"\u00e4:",\t"b"\n:1}',
    ])
      expect(parseStrictJson(Buffer.from(text))).toEqual({ ok: true, value: JSON.parse(text) })
    for (const text of [
      // A blank before one colon, what looks like another in a string: their sum would be right.
      String.raw`{"a":1,"a" :2,"b":"\":"}`,
      String.raw`{"a":"\":","a":1}`,
      '{"a":":","a" : 2}',
    ])
      expect(parseStrictJson(Buffer.from(text))).toEqual({ ok: false, code: 'duplicate_member' })
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
