import { anything, assert, constantFrom, dictionary, oneof, property, string } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createFlatFields, createTextWriter } from '../src/flat-fields.ts'
import { toPlain } from '../src/plain.ts'
import { createRedactor } from '../src/redact.ts'

const redactor = createRedactor({ fields: ['card'] })
const text = createTextWriter(redactor)
const flatFields = createFlatFields({ redactor, reserved: new Set(['level', 'msg']), text })

describe('flat fields', () => {
  it('are written as the long way writes them, whatever they hold', () => {
    const names = constantFrom(
      'route',
      'status',
      'userId',
      'token',
      'holeCard',
      'level',
      '7',
      '__proto__',
      'é"\n',
    )
    const values = oneof(
      constantFrom(
        'Bearer abcdefgh1',
        'token=x, y',
        'x'.repeat(9000),
        '/api/a',
        -0,
        Number.NaN,
        2n ** 70n,
        null,
      ),
      constantFrom(undefined, () => 1, Symbol('s'), new Date(0), new Error('token=x')),
      anything(),
      string(),
    )
    let count = 0
    assert(
      property(dictionary(oneof(names, string()), values, { noNullPrototype: true }), (fields) => {
        const written = flatFields(fields)
        if (written === undefined) return
        count++
        expect(JSON.parse(`{${written.slice(1)}}`)).toEqual(
          JSON.parse(JSON.stringify(toPlain(fields, redactor))),
        )
      }),
      { numRuns: 2000 },
    )
    expect(count).toBeGreaterThan(100)
  })

  it.each([
    ['a sensitive name, whose value may stand in another field', { token: 'x1234', note: 'x1234' }],
    ['a reserved name', { level: 'x' }],
    ['an inside', { err: new Error('x') }],
    ['names that are inherited', Object.create({ userId: 'u1' })],
    [
      'more fields than a line takes',
      Object.fromEntries(Array.from({ length: 101 }, (_, at) => [`k${at}`, at])),
    ],
  ])('leave %s to the long way', (_what, fields) => {
    expect(flatFields(fields)).toBeUndefined()
  })
})
