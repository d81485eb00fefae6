import { create } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'
import { GameEventSchema } from '../src/grpc/gen/event/event_pb.ts'
import { GetTableStateResponseSchema, ListTablesResponseSchema } from '../src/grpc/gen/game/game_pb.ts'
import { relayJson } from '../src/grpc/relay-json.ts'

test('int64 are decimal strings, timestamps seconds and nanos, set optionals are marked, unset ones left out', () => {
  const message = create(GetTableStateResponseSchema, {
    state: {
      tableId: 't1',
      seats: [
        { seatId: 0, userId: 'ann', stack: 9_007_199_254_740_993n, status: 'ACTIVE' },
        { seatId: 1, status: 'EMPTY' },
      ],
      hand: {
        handId: 'h1',
        roundContributions: { 0: 10n },
        startedAt: { seconds: 1_795_338_842n, nanos: 191_000_000 },
      },
      updatedAt: { seconds: 1n, nanos: 0 },
    },
    holeCards: [{ rank: 'Q', suit: 'diamonds' }],
  })
  expect(relayJson(GetTableStateResponseSchema, message)).toEqual({
    state: {
      table_id: 't1',
      seats: [
        { seat_id: 0, user_id: 'ann', _user_id: 'user_id', stack: '9007199254740993', status: 'ACTIVE' },
        { seat_id: 1, stack: '0', status: 'EMPTY' },
      ],
      spectators: [],
      hand: {
        hand_id: 'h1',
        table_id: '',
        street: '',
        community_cards: [],
        pots: [],
        current_bet: '0',
        min_raise: '0',
        turn: 0,
        last_aggressor: 0,
        actions: [],
        rake_amount: '0',
        started_at: { seconds: '1795338842', nanos: 191_000_000 },
        round_contributions: { 0: '10' },
        acted_seats: [],
        raise_capped: false,
        big_blind: '0',
      },
      _hand: 'hand',
      button: 0,
      version: 0,
      updated_at: { seconds: '1', nanos: 0 },
    },
    hole_cards: [{ rank: 'Q', suit: 'diamonds' }],
  })
})

test('an empty list stays a list', () => {
  expect(relayJson(ListTablesResponseSchema, create(ListTablesResponseSchema))).toEqual({ tables: [] })
})

test('a Struct keeps the shape that it has on the wire', () => {
  const event = create(GameEventSchema, {
    eventId: 'e1',
    type: 'HAND_STARTED',
    userId: 'ann',
    seatId: 0,
    payload: { buttonSeat: 1, participants: ['ann'], rake: null, live: true, pot: { main: 5 } },
  })
  expect(relayJson(GameEventSchema, event)).toMatchObject({
    user_id: 'ann',
    _user_id: 'user_id',
    seat_id: 0,
    _seat_id: 'seat_id',
    payload: {
      fields: {
        buttonSeat: { numberValue: 1, kind: 'numberValue' },
        participants: {
          listValue: { values: [{ stringValue: 'ann', kind: 'stringValue' }] },
          kind: 'listValue',
        },
        rake: { nullValue: 'NULL_VALUE', kind: 'nullValue' },
        live: { boolValue: true, kind: 'boolValue' },
        pot: {
          structValue: { fields: { main: { numberValue: 5, kind: 'numberValue' } } },
          kind: 'structValue',
        },
      },
    },
  })
})
