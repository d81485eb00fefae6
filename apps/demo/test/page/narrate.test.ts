import type { Hand, TableState } from '@gw/protocol'
import { expect, test } from 'vitest'
import { narrate, winnings } from '../../src/page/narrate.ts'
import { placeHash, readPlace } from '../../src/page/place.ts'

const hand = (change: Partial<Hand>): Hand => ({
  handId: 'H',
  tableId: 'T',
  street: 'PREFLOP',
  communityCards: [],
  pots: [],
  currentBet: 0,
  minRaise: 10,
  turn: 0,
  lastAggressor: 0,
  actions: [],
  rakeAmount: 0,
  startedAt: '',
  ...change,
})

const table = (change: Partial<TableState>): TableState => ({
  tableId: 'T',
  name: 'T',
  ownerId: 'ann',
  config: {
    smallBlind: 5,
    bigBlind: 10,
    ante: 0,
    maxPlayers: 2,
    startingStack: 200,
    turnTimerSeconds: 20,
  },
  status: 'PLAYING',
  hand: null,
  version: 1,
  seats: [
    { seatId: 0, userId: 'ann', stack: 200, status: 'ACTIVE' },
    { seatId: 1, userId: null, stack: 0, status: 'EMPTY' },
  ],
  spectators: [],
  updatedAt: '',
  button: 0,
  ...change,
})

const action = (actionId: string, change: Partial<Hand['actions'][number]>) => ({
  actionId,
  handId: 'H',
  seatId: 0,
  userId: 'ann',
  type: 'CHECK' as const,
  amount: 0,
  timestamp: '',
  ...change,
})

test('tells what is new, once, and calls the listener "you"', () => {
  const before = table({ hand: hand({ actions: [action('1', { type: 'BET', amount: 20 })] }) })
  const after = table({
    hand: hand({
      street: 'FLOP',
      actions: [
        action('1', { type: 'BET', amount: 20 }),
        action('2', { type: 'CALL', userId: 'ben', seatId: 1 }),
      ],
      communityCards: [
        { rank: '10', suit: 'hearts' },
        { rank: 'A', suit: 'spades' },
        { rank: '2', suit: 'clubs' },
      ],
      endedAt: 'now',
      pots: [{ amount: 45, eligibleSeatIds: [0], winners: [0] }],
    }),
  })
  expect(narrate(before, after, 'ann')).toEqual(['Ben calls.', 'Flop: 10♥ A♠ 2♣', 'You win 45.'])
  expect(narrate(after, after, 'ann')).toEqual([])
  expect(narrate(undefined, after, 'ann')).toEqual([])
})

test('tells who sits down when the chips are there, and who leaves', () => {
  const seat = (userId: string | null, status: 'RESERVED' | 'SEATED' | 'EMPTY') =>
    table({ seats: [{ seatId: 0, userId, stack: 500, status }] })
  expect(narrate(seat(null, 'EMPTY'), seat('ben', 'RESERVED'), 'ann')).toEqual([])
  expect(narrate(seat('ben', 'RESERVED'), seat('ben', 'SEATED'), 'ann')).toEqual(['Ben sat down with 500.'])
  expect(narrate(seat('ben', 'SEATED'), seat(null, 'EMPTY'), 'ann')).toEqual(['Ben left the table.'])
})

test('a pot that is shared loses no chip', () => {
  const pots = [
    { amount: 101, eligibleSeatIds: [0, 1], winners: [0, 1] },
    { amount: 7, eligibleSeatIds: [1], winners: [1] },
  ]
  expect([...winnings(hand({ pots }))]).toEqual([
    [0, 51],
    [1, 57],
  ])
})

test('a place survives the address bar', () => {
  const place = { user: 'ann/ben', tableId: 'a b#c' }
  expect(readPlace(placeHash(place))).toEqual(place)
  expect(readPlace('')).toEqual({ user: undefined, tableId: undefined })
  expect(readPlace('#%E0%A4%A')).toEqual({ user: undefined, tableId: undefined })
})
