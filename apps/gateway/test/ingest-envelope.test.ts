import fc from 'fast-check'
import { expect, test } from 'vitest'
import { normaliseLobby, parseIngestEnvelope } from '../src/services/ingest-envelope.ts'

const envelope = (channel: string, payload: object) =>
  JSON.stringify({ channel, tableId: 'T1', payload, sourceId: 'game-service' })

test('a table’s update goes to its channel unchanged', () => {
  const payload = { type: 'TableSnapshot', tableState: { tableId: 'T1', version: 3 } }
  expect(parseIngestEnvelope(envelope('table', payload))).toEqual({
    channel: 'table:T1',
    data: JSON.stringify(payload),
    idempotencyKey: expect.any(String),
    sourceId: 'game-service',
  })
})

test('a snapshot is named by its content, alike on every instance; another state has another name', () => {
  const keyOf = (version: number) =>
    parseIngestEnvelope(envelope('table', { type: 'TableSnapshot', tableState: { version } }))?.idempotencyKey
  expect(keyOf(3)).toBe(keyOf(3))
  expect(keyOf(3)).not.toBe(keyOf(4))
})

test('a timer belongs to its table, chat to its room', () => {
  expect(parseIngestEnvelope(envelope('timer', { type: 'TimerUpdate' }))?.channel).toBe('table:T1')
  expect(parseIngestEnvelope(envelope('chat', { type: 'ChatMessage' }))?.channel).toBe('chat:T1')
})

test('lobby rows get the betting structure that the web client wants', () => {
  const payload = { type: 'LobbyTablesUpdated', tables: [{ tableId: 'T1', config: { smallBlind: 1 } }] }
  expect(parseIngestEnvelope(envelope('lobby', payload))?.channel).toBe('lobby')
  expect(normaliseLobby(payload)).toEqual({
    type: 'LobbyTablesUpdated',
    tables: [{ tableId: 'T1', config: { bettingStructure: 'NoLimit', smallBlind: 1 } }],
  })
})

test('what is no envelope is refused, whatever it is', () => {
  expect(parseIngestEnvelope('{')).toBeUndefined()
  expect(parseIngestEnvelope(envelope('weather', { type: 'X' }))).toBeUndefined()
  expect(parseIngestEnvelope(envelope('table', {}))).toBeUndefined()
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (raw) => {
      const parsed = parseIngestEnvelope(raw)
      if (parsed) expect(JSON.parse(parsed.data)).toHaveProperty('type')
    }),
  )
})
