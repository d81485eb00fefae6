import { describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import {
  type ClientMessage,
  type CloseCode,
  type CloseRow,
  closeCodes,
  type ServerMessage,
} from '@gw/protocol'
import { clientSchemas, parseClientMessage, parseServerMessage, serverSchemas } from '@gw/protocol/schemas'
import { clientMessages, hand, serverMessages, tableState, tableSummary } from './complete-messages.ts'

function fieldsOf(schema: z.ZodType): string[] {
  return schema instanceof z.ZodObject ? Object.keys(schema.shape).sort() : []
}

describe('types and schemas', () => {
  test('are the same unions for the compiler', () => {
    expectTypeOf<
      z.output<(typeof clientSchemas)[keyof typeof clientSchemas]>
    >().toEqualTypeOf<ClientMessage>()
    expectTypeOf<
      z.output<(typeof serverSchemas)[keyof typeof serverSchemas]>
    >().toEqualTypeOf<ServerMessage>()
    expectTypeOf<(typeof closeCodes)[keyof typeof closeCodes]>().toExtend<CloseRow>()
    expectTypeOf<4008>().toExtend<CloseCode>()
  })

  test.each(Object.entries(clientMessages))('%s has the same fields in type and schema', (type, message) => {
    expect(parseClientMessage(message)).toEqual({ ok: true, message })
    const schemas: Readonly<Record<string, z.ZodType>> = clientSchemas
    expect(fieldsOf(schemas[type] ?? z.never())).toEqual(Object.keys(message).sort())
  })

  test.each(Object.entries(serverMessages))('%s has the same fields in type and schema', (type, message) => {
    expect(parseServerMessage(message)).toEqual({ ok: true, message })
    const schemas: Readonly<Record<string, z.ZodType>> = serverSchemas
    expect(fieldsOf(schemas[type] ?? z.never())).toEqual(Object.keys(message).sort())
  })
})

describe('the state of a table', () => {
  const { bettingStructure: _, ...relayedConfig } = tableState.config

  test.each([
    ['cards in a seat', { seats: [{ ...tableState.seats[0], holeCards: [{ rank: '2', suit: 'clubs' }] }] }],
    ['a big blind below twice the small one', { config: { ...tableState.config, bigBlind: 9 } }],
    ['an ante not below the small blind', { config: { ...tableState.config, ante: 5 } }],
    ['a turn at a seat that does not exist', { hand: { ...hand, turn: 9 } }],
    ['a hand without an id', { hand: { ...hand, handId: '' } }],
    ['numbers as strings', { version: '13' }],
    ['a card that does not exist', { hand: { ...hand, communityCards: [{ rank: '1', suit: 'clubs' }] } }],
  ])('does not pass with %s', (_title, change) => {
    const message = { type: 'TableSnapshot', tableState: { ...tableState, ...change } }
    expect(parseServerMessage(message).ok).toBe(false)
  })

  test('passes as the game relays it: no betting structure, no end, no hand', () => {
    const relayed = { ...tableState, config: relayedConfig, hand: { ...hand, endedAt: null } }
    expect(parseServerMessage({ type: 'TableSnapshot', tableState: relayed }).ok).toBe(true)
    const idle = { ...tableState, config: { ...relayedConfig, ante: null }, hand: null }
    expect(parseServerMessage({ type: 'TableSnapshot', tableState: idle }).ok).toBe(true)
    const tables = [{ ...tableSummary, config: relayedConfig }]
    expect(parseServerMessage({ type: 'LobbyTablesUpdated', tables }).ok).toBe(true)
  })

  test('may be patched in part, and a hand ended with null', () => {
    const message = { type: 'TablePatch', tableId: 'T1', patch: { hand: null, version: 14 } }
    expect(parseServerMessage(message)).toEqual({ ok: true, message })
  })
})
