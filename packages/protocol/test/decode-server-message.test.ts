import { assert, constantFrom, jsonValue, oneof, property, record } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeFrame, decodeServerMessage } from '@gw/protocol'
import { parseServerMessage } from '@gw/protocol/schemas'
import { serverMessages } from './complete-messages.ts'

const complete = Object.entries(serverMessages)

describe('decodeServerMessage', () => {
  test.each(complete)('reads %s as it was written', (_type, message) => {
    expect(decodeServerMessage(JSON.stringify(message))).toEqual(message)
  })

  test.each(complete)('reads %s without a field exactly when the schema does', (_type, message) => {
    for (const field of Object.keys(message)) {
      const { [field]: _dropped, ...rest } = Object.fromEntries(Object.entries(message))
      expect(decodeServerMessage(JSON.stringify(rest)) !== undefined).toBe(parseServerMessage(rest).ok)
    }
  })

  test('gives undefined for what is not a message of this version', () => {
    const frames = [
      '',
      'not json',
      'null',
      '[]',
      '1',
      '{}',
      '{"type":1}',
      '{"type":"Later"}',
      '{"type":"toString"}',
    ]
    for (const frame of [...frames, '{"type":"Ack","id":null}', '{"type":"TableSnapshot","tableState":null}'])
      expect(decodeServerMessage(frame)).toBeUndefined()
  })

  test('is decodeFrame without what has an unknown type, which that gives with its position', () => {
    const later = { type: 'Later', n: 1, channel: 'all', epoch: 'e', seq: 2 }
    const position = { channel: 'all', epoch: 'e', seq: 2 }
    expect(decodeFrame(JSON.stringify(later))).toEqual({ type: '(other)', message: later, ...position })
    const plain = { type: 'toString', seq: '2' }
    expect(decodeFrame(JSON.stringify(plain))).toEqual({ type: '(other)', message: plain })
    expect(decodeFrame(JSON.stringify(serverMessages.Ack))).toEqual(serverMessages.Ack)
    expect(decodeFrame('{"type":"Ack","id":null}')).toBeUndefined()
  })

  test('never throws, and accepts whatever the schemas accept', () => {
    const values = constantFrom(...complete.flatMap(([, message]) => Object.values<unknown>(message)))
    const message = constantFrom(...complete).chain(([, base]) =>
      record({ field: constantFrom(...Object.keys(base)), value: oneof(values, jsonValue()) }).map(
        ({ field, value }) => ({ ...base, [field]: value }),
      ),
    )
    assert(
      property(message, (changed) => {
        const decoded = decodeServerMessage(JSON.stringify(changed)) !== undefined
        return decoded || !parseServerMessage(changed).ok
      }),
    )
  })
})
