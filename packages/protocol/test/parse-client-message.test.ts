import { describe, expect, test } from 'vitest'
import { limits } from '@gw/protocol'
import { parseClientMessage } from '@gw/protocol/schemas'

const tableId = 'T1'

describe('parseClientMessage', () => {
  test('reads numeric strings as chips, as the contract allows', () => {
    expect(parseClientMessage({ type: 'JoinSeat', tableId, seatId: 1, buyInAmount: '300' })).toEqual({
      ok: true,
      message: { type: 'JoinSeat', tableId, seatId: 1, buyInAmount: 300 },
    })
    const action = parseClientMessage({
      type: 'Action',
      tableId,
      action: 'Raise',
      amount: ' 42.9 ',
      handId: 'H',
    })
    expect(action).toMatchObject({ ok: true, message: { amount: 42 } })
  })

  test.each(['1e400', '', 'abc', 'NaN', '0x10', '9'.repeat(30)])('refuses the amount %j', (amount) => {
    const parsed = parseClientMessage({ type: 'Action', tableId, action: 'Bet', amount, id: 'a1' })
    expect(parsed).toMatchObject({ ok: false, code: 'invalid_message', type: 'Action', id: 'a1', tableId })
  })

  test('takes a seat id as a number only', () => {
    expect(parseClientMessage({ type: 'JoinSeat', tableId, seatId: '1' })).toMatchObject({
      ok: false,
      issues: [{ path: 'seatId' }],
    })
    expect(parseClientMessage({ type: 'JoinSeat', tableId, seatId: 9 }).ok).toBe(false)
  })

  test('tells an unknown type from a broken message', () => {
    expect(parseClientMessage({ type: 'Nope', id: 'x' })).toMatchObject({
      ok: false,
      code: 'unknown_type',
      type: 'Nope',
      id: 'x',
    })
    for (const type of ['constructor', 'toString', '__proto__'])
      expect(parseClientMessage({ type })).toMatchObject({ ok: false, code: 'unknown_type' })
    for (const value of [null, 1, 'text', [], {}, { type: 5 }])
      expect(parseClientMessage(value)).toMatchObject({ ok: false, code: 'invalid_message' })
  })

  test('gives no id back when the id itself is broken', () => {
    for (const id of ['', 'x'.repeat(limits.maxIdLength + 1), 7]) {
      const parsed = parseClientMessage({ type: 'Ping', id })
      expect(parsed).toMatchObject({ ok: false, code: 'invalid_message', type: 'Ping' })
      expect(parsed).not.toHaveProperty('id')
    }
  })

  test('bounds what a resume may ask for', () => {
    const position = { epoch: 'e', seq: 3 }
    const channels = Array.from({ length: limits.maxResumeChannels + 1 }, (_, n) => [`chat:${n}`, position])
    const resume: unknown = Object.fromEntries(channels)
    expect(parseClientMessage({ type: 'Authenticate', token: 't', resume }).ok).toBe(false)
    const one = {
      type: 'Authenticate',
      token: 't',
      resume: { 'chat:T1': position },
      features: ['acks', 'later'],
    }
    expect(parseClientMessage(one)).toEqual({ ok: true, message: one })
    for (const seq of [-1, 1.5, '3', Number.MAX_SAFE_INTEGER + 1]) {
      const bad = { type: 'Authenticate', token: 't', resume: { 'chat:T1': { epoch: 'e', seq } } }
      expect(parseClientMessage(bad)).toMatchObject({ ok: false, issues: [{ path: 'resume.chat:T1.seq' }] })
    }
  })

  test('drops fields that the wire does not have', () => {
    expect(parseClientMessage({ type: 'ChatSend', tableId, message: 'hi', userId: 'someone else' })).toEqual({
      ok: true,
      message: { type: 'ChatSend', tableId, message: 'hi' },
    })
  })

  test('leaves the length of a chat message to the chat, which answers with a ChatError', () => {
    expect(parseClientMessage({ type: 'ChatSend', tableId, message: 'x'.repeat(501) }).ok).toBe(true)
  })
})
