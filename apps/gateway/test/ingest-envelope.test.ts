import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  type ChannelPublication,
  malformedReasons,
  normaliseLobby,
  parseIngestEnvelope,
} from '../src/services/ingest-envelope.ts'

const envelope = (channel: string, payload: object) =>
  JSON.stringify({ channel, tableId: 'T1', payload, sourceId: 'game-service' })

function published(raw: string): ChannelPublication {
  const heard = parseIngestEnvelope(raw)
  if ('malformed' in heard) throw new Error(heard.malformed)
  return heard
}

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
    published(envelope('table', { type: 'TableSnapshot', tableState: { version } })).idempotencyKey
  expect(keyOf(3)).toBe(keyOf(3))
  expect(keyOf(3)).not.toBe(keyOf(4))
})

test('a timer belongs to its table, chat to its room', () => {
  expect(published(envelope('timer', { type: 'TimerUpdate' })).channel).toBe('table:T1')
  expect(published(envelope('chat', { type: 'ChatMessage' })).channel).toBe('chat:T1')
})

test('lobby rows get the betting structure that the web client wants', () => {
  const payload = { type: 'LobbyTablesUpdated', tables: [{ tableId: 'T1', config: { smallBlind: 1 } }] }
  expect(published(envelope('lobby', payload)).channel).toBe('lobby')
  expect(normaliseLobby(payload)).toEqual({
    type: 'LobbyTablesUpdated',
    tables: [{ tableId: 'T1', config: { bettingStructure: 'NoLimit', smallBlind: 1 } }],
  })
})

test('what is no envelope is refused, whatever it is, and what is wrong with it is said', () => {
  const good = { channel: 'table', tableId: 'T1', payload: { type: 'X' }, sourceId: 'game-service' }
  const wrong = (change: object): unknown => parseIngestEnvelope(JSON.stringify({ ...good, ...change }))
  const sourceId = 'game-service'
  expect(parseIngestEnvelope('{')).toEqual({ malformed: 'json' })
  expect(parseIngestEnvelope('null')).toEqual({ malformed: 'json' })
  expect(wrong({ channel: 'weather' })).toEqual({ malformed: 'channel', sourceId })
  expect(wrong({ tableId: '' })).toEqual({ malformed: 'tableId', sourceId })
  expect(wrong({ payload: {} })).toEqual({ malformed: 'payload', sourceId })
  expect(wrong({ sourceId: 7 })).toEqual({ malformed: 'sourceId' })
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (raw) => {
      const heard = parseIngestEnvelope(raw)
      if ('malformed' in heard) expect(malformedReasons).toContain(heard.malformed)
      else expect(JSON.parse(heard.data)).toHaveProperty('type')
    }),
  )
})
