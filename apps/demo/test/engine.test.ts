import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { act, leaveHand, legalMoves, type Move, timeoutMove } from '../src/engine/act.ts'
import { type Card, freshDeck, seededRandom, shuffle } from '../src/engine/cards.ts'
import { type Hand, livePlayers, playerAt } from '../src/engine/hand.ts'
import { buildPots } from '../src/engine/pots.ts'
import { type HandSetup, startHand } from '../src/engine/start-hand.ts'

/** Any table that a hand can start at: 2 to 9 seats, uneven stacks, blinds larger than some of them. */
const setups: fc.Arbitrary<HandSetup> = fc
  .record({
    seatIds: fc.uniqueArray(fc.integer({ min: 0, max: 8 }), { minLength: 2, maxLength: 9 }),
    stacks: fc.array(fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 1000 })), {
      minLength: 9,
      maxLength: 9,
    }),
    smallBlind: fc.integer({ min: 1, max: 20 }),
    ante: fc.integer({ min: 0, max: 3 }),
    button: fc.nat(8),
    seed: fc.integer(),
  })
  .map(({ seatIds, stacks, smallBlind, ante, button, seed }) => {
    const seats = seatIds
      .sort((a, b) => a - b)
      .map((seatId, index) => ({ seatId, userId: `user-${seatId}`, stack: stacks[index] ?? 1 }))
    return {
      handId: 'hand',
      seats,
      button: seats[button % seats.length]?.seatId ?? 0,
      smallBlind,
      bigBlind: smallBlind * 2,
      ante: Math.min(ante, smallBlind - 1),
      deck: shuffle(freshDeck(), seededRandom(seed)),
      at: 0,
    }
  })

/** Any legal move of the seat in turn, chosen by two numbers. */
function pickMove(hand: Hand, choice: number, size: number): Move {
  const { types, raiseTo } = legalMoves(hand)
  const type = types[choice % types.length] ?? 'FOLD'
  const range = raiseTo ? raiseTo.max - raiseTo.min + 1 : 1
  return { seatId: hand.turn, type, amount: raiseTo ? raiseTo.min + (size % range) : undefined, at: 1 }
}

function chips(hand: Hand): number {
  const stacks = hand.players.reduce((total, player) => total + player.stack, 0)
  const staked = hand.players.reduce((total, player) => total + player.committed, 0)
  return hand.endedAt === null ? stacks + staked : stacks
}

function cardsOf(hand: Hand): string[] {
  const all = [...hand.deck, ...hand.communityCards, ...hand.players.flatMap((player) => player.holeCards)]
  return all.map((card) => card.rank + card.suit)
}

function checkInvariants(hand: Hand, total: number): void {
  expect(chips(hand)).toBe(total)
  expect(new Set(cardsOf(hand)).size).toBe(52)
  for (const player of hand.players) expect(player.stack).toBeGreaterThanOrEqual(0)
  const staked = hand.players.reduce((sum, player) => sum + player.committed, 0)
  const pots = hand.endedAt === null ? buildPots(hand.players) : hand.pots
  expect(pots.reduce((sum, pot) => sum + pot.amount, 0)).toBe(staked)
  const paid = [...hand.payouts.values()].reduce((sum, won) => sum + won, 0)
  expect(paid).toBe(hand.endedAt === null ? 0 : staked)
  expect(canGoOn(hand)).toBe(hand.endedAt === null)
  expect(hand.street === 'SHOWDOWN').toBe(hand.endedAt !== null && livePlayers(hand).length > 1)
  expect(hand.communityCards).toHaveLength(boardSizes[hand.street])
}

const boardSizes = { PREFLOP: 0, FLOP: 3, TURN: 4, RIVER: 5, SHOWDOWN: 5 }

/** It is the turn of a player who has chips and a choice. */
function canGoOn(hand: Hand): boolean {
  return playerAt(hand, hand.turn)?.status === 'ACTIVE' && legalMoves(hand).types.length > 1
}

describe('any hand', () => {
  it('keeps its chips and cards, always has a legal turn, and ends', () => {
    fc.assert(
      fc.property(setups, fc.infiniteStream(fc.nat(1000)), (setup, choices) => {
        const total = setup.seats.reduce((sum, seat) => sum + seat.stack, 0)
        let hand = startHand(setup)
        checkInvariants(hand, total)
        for (let moves = 0; hand.endedAt === null; moves++) {
          // Folds at random end most hands before the flop: let three of four attempts to fold pass.
          const next = (): number => Number(choices.next().value)
          let move = pickMove(hand, next(), next())
          if (move.type === 'FOLD' && next() % 4 > 0) move = pickMove(hand, 1, next())
          const result = act(hand, move)
          if (!result.ok) throw new Error(`${move.type} ${move.amount} was listed as legal: ${result.error}`)
          hand = result.hand
          checkInvariants(hand, total)
          if (moves > 2000) throw new Error('The hand does not end')
        }
      }),
      { numRuns: 400 },
    )
  })

  it('ends by time-outs alone', () => {
    fc.assert(
      fc.property(setups, (setup) => {
        let hand = startHand(setup)
        for (let moves = 0; hand.endedAt === null && moves < 100; moves++) {
          const result = act(hand, timeoutMove(hand, 2))
          if (result.ok) hand = result.hand
        }
        expect(hand.endedAt).not.toBeNull()
      }),
      { numRuns: 100 },
    )
  })

  it('loses no chip when players get up in the middle', () => {
    fc.assert(
      fc.property(setups, fc.infiniteStream(fc.nat(1000)), (setup, choices) => {
        const next = (): number => Number(choices.next().value)
        const total = setup.seats.reduce((sum, seat) => sum + seat.stack, 0)
        let hand = startHand(setup)
        let takenAway = 0
        for (let moves = 0; hand.endedAt === null; moves++) {
          const leaver = hand.players[next() % hand.players.length]
          const left = leaver && next() % 5 === 0 ? leaveHand(hand, leaver.seatId, 1) : null
          if (left) {
            hand = left.hand
            takenAway += left.cashOut
          } else {
            const result = act(hand, pickMove(hand, next(), next()))
            if (result.ok) hand = result.hand
          }
          expect(chips(hand) + takenAway).toBe(total)
          expect(canGoOn(hand)).toBe(hand.endedAt === null)
          if (moves > 2000) throw new Error('The hand does not end')
        }
      }),
      { numRuns: 300 },
    )
  })
})

/** A deck that deals the given hole cards (in order of play from the seat after the button) and board. */
function stackedDeck(holes: readonly [string, string][], board: readonly string[]): Card[] {
  const wanted = [...holes.map((hole) => hole[0]), ...holes.map((hole) => hole[1]), ...board]
  const deck = freshDeck()
  const named = (name: string): Card => {
    const card = deck.find((candidate) => candidate.rank + candidate.suit.charAt(0) === name)
    if (!card) throw new Error(`No card ${name}`)
    return card
  }
  const first = wanted.map(named)
  return [...first, ...deck.filter((card) => !first.includes(card))]
}

function play(hand: Hand, moves: readonly (readonly [Move['type'], number?])[]): Hand {
  return moves.reduce((current, [type, amount]) => {
    const result = act(current, { seatId: current.turn, type, amount, at: 5 })
    if (!result.ok) throw new Error(`${type} by seat ${current.turn}: ${result.error}`)
    return result.hand
  }, hand)
}

const board = ['2c', '7d', '9h', 'Jc', '3s']
const three = (stacks: readonly number[], deck: readonly Card[]): HandSetup => ({
  handId: 'hand',
  seats: stacks.map((stack, seatId) => ({ seatId, userId: `user-${seatId}`, stack })),
  button: 0,
  smallBlind: 5,
  bigBlind: 10,
  ante: 0,
  deck,
  at: 0,
})

describe('the rules', () => {
  it('lets the button post the small blind and act first, heads-up, and last after the flop', () => {
    const hand = startHand(three([100, 100], shuffle(freshDeck(), seededRandom(1))))
    expect([playerAt(hand, 0)?.roundContribution, playerAt(hand, 1)?.roundContribution]).toEqual([5, 10])
    expect(hand.turn).toBe(0)
    const flop = play(hand, [['CALL'], ['CHECK']])
    expect([flop.street, flop.turn]).toEqual(['FLOP', 1])
  })

  it('gives the big blind the option to raise', () => {
    const hand = play(startHand(three([100, 100, 100], shuffle(freshDeck(), seededRandom(1)))), [
      ['CALL'],
      ['CALL'],
    ])
    expect([hand.street, hand.turn]).toEqual(['PREFLOP', 2])
    expect(legalMoves(hand).types).toContain('RAISE')
  })

  it('pays main pot and side pot to different winners and returns the uncalled rest', () => {
    // Order of play after button 0: seats 1, 2, 0. Seat 1 is short with the best hand, seat 2 second, seat 0 deep.
    const deck = stackedDeck(
      [
        ['Ac', 'Ad'],
        ['Kc', 'Kd'],
        ['Qc', 'Qd'],
      ],
      board,
    )
    const hand = play(startHand(three([500, 50, 200], deck)), [['ALL_IN'], ['CALL'], ['CALL']])
    expect(hand.street).toBe('SHOWDOWN')
    expect(hand.pots).toEqual([
      { amount: 150, eligibleSeatIds: [0, 1, 2], winners: [1] },
      { amount: 300, eligibleSeatIds: [0, 2], winners: [2] },
    ])
    expect(hand.players.map((player) => player.stack)).toEqual([300, 150, 300])
  })

  it('splits a pot and gives the odd chip to the first seat after the button', () => {
    const deck = stackedDeck(
      [
        ['Ac', 'Kd'],
        ['Ad', 'Kc'],
        ['2h', '4h'],
      ],
      ['Qs', 'Jd', '10h', '3c', '3s'],
    )
    const hand = play(startHand({ ...three([40, 40, 40], deck), smallBlind: 5, bigBlind: 11 }), [
      ['ALL_IN'],
      ['CALL'],
      ['CALL'],
    ])
    expect(hand.players.map((player) => player.stack)).toEqual([0, 60, 60])
    const odd = play(startHand({ ...three([41, 40, 40], deck), ante: 1, button: 0 }), [
      ['FOLD'],
      ['CALL'],
      ['ALL_IN'],
      ['CALL'],
    ])
    expect(odd.players.map((player) => player.stack)).toEqual([40, 41, 40])
  })

  it('does not reopen the betting after an all-in below a full raise', () => {
    const deck = shuffle(freshDeck(), seededRandom(3))
    // Seat 0 raises to 40, seat 1 goes all-in for 55 (a full raise were 70), seat 2 calls: seat 0 may only call or fold.
    const hand = play(startHand(three([500, 55, 500], deck)), [['RAISE', 40], ['ALL_IN'], ['CALL']])
    expect([hand.turn, hand.raiseCapped]).toEqual([0, true])
    expect(legalMoves(hand)).toEqual({ types: ['FOLD', 'CALL'], raiseTo: null })
    expect(act(hand, { seatId: 0, type: 'RAISE', amount: 200, at: 5 })).toEqual({
      ok: false,
      error: 'ILLEGAL_ACTION',
    })
  })

  it('starts each street with a clean slate', () => {
    const deck = shuffle(freshDeck(), seededRandom(3))
    const flop = play(startHand(three([500, 55, 500], deck)), [['RAISE', 40], ['ALL_IN'], ['CALL'], ['CALL']])
    expect(flop).toMatchObject({
      street: 'FLOP',
      raiseCapped: false,
      minRaise: 10,
      currentBet: 0,
      actedSeats: [],
    })
    expect(flop.players.map((player) => player.roundContribution)).toEqual([0, 0, 0])
  })

  it('asks nobody who has nothing to answer: a blind that puts its owner all-in goes straight to the showdown', () => {
    const hand = startHand(three([5, 100], shuffle(freshDeck(), seededRandom(5))))
    expect([hand.street, hand.endedAt]).toEqual(['SHOWDOWN', 0])
    expect(hand.pots.map((pot) => pot.amount)).toEqual([10])
  })

  it('counts antes for the pot and not for the bet', () => {
    const hand = startHand({ ...three([100, 100, 100], shuffle(freshDeck(), seededRandom(5))), ante: 3 })
    expect(hand.players.map((player) => player.roundContribution)).toEqual([0, 5, 10])
    expect(hand.players.map((player) => player.committed)).toEqual([3, 8, 13])
  })

  it('refuses with the code that fits', () => {
    const hand = startHand(three([100, 100, 100], shuffle(freshDeck(), seededRandom(4))))
    const refusal = (type: Move['type'], amount?: number, seatId = hand.turn): unknown =>
      act(hand, { seatId, type, amount, at: 5 })
    expect(refusal('CHECK')).toEqual({ ok: false, error: 'ILLEGAL_ACTION' })
    expect(refusal('BET', 20)).toEqual({ ok: false, error: 'ILLEGAL_ACTION' })
    expect(refusal('RAISE')).toEqual({ ok: false, error: 'MISSING_AMOUNT' })
    expect(refusal('RAISE', -1)).toEqual({ ok: false, error: 'INVALID_AMOUNT' })
    expect(refusal('RAISE', 19)).toEqual({ ok: false, error: 'AMOUNT_TOO_SMALL' })
    expect(refusal('RAISE', 101)).toEqual({ ok: false, error: 'AMOUNT_TOO_LARGE' })
    expect(refusal('FOLD', undefined, 1)).toEqual({ ok: false, error: 'NOT_YOUR_TURN' })
    expect(refusal('FOLD', undefined, 7)).toEqual({ ok: false, error: 'SEAT_INACTIVE' })
    const over = play(hand, [['FOLD'], ['FOLD']])
    expect(act(over, { seatId: 2, type: 'CHECK', at: 5 })).toEqual({ ok: false, error: 'HAND_COMPLETE' })
    expect(over.players.map((player) => player.stack)).toEqual([100, 95, 105])
  })
})
