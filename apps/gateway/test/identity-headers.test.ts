import { validateHeaderValue } from 'node:http'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { asciiJson, asciiValue } from '../src/http/identity-headers.ts'

test('any claims make a legal header that parses back to the same value', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (claims) => {
      const header = asciiJson(claims)
      validateHeaderValue('x-user-claims', header)
      expect(JSON.parse(header)).toEqual(JSON.parse(JSON.stringify(claims)))
    }),
  )
})

test('a name above Latin-1 is escaped, not thrown on', () => {
  expect(asciiJson({ name: '李雷' })).toBe(String.raw`{"name":"\u674e\u96f7"}`)
})

test('any subject makes a legal header; an ordinary one is unchanged', () => {
  expect(asciiValue('f3b1c2d4-user@example.com')).toBe('f3b1c2d4-user@example.com')
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (subject) => {
      const header = asciiValue(subject)
      validateHeaderValue('x-user-id', header)
      expect(decodeURIComponent(header)).toBe(subject)
    }),
  )
})
