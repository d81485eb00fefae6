import type { TableState } from '@gw/protocol'
import { parseServerMessage } from '@gw/protocol/schemas'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { act, legalMoves } from '../../src/engine/act.ts'
import { freshDeck, seededRandom, shuffle } from '../../src/engine/cards.ts'
import type { Hand } from '../../src/engine/hand.ts'
import { startHand } from '../../src/engine/start-hand.ts'
import { defaultTableConfig } from '../../src/game/table-config.ts'
import { tableSnapshot } from '../../src/game/table-json.ts'
import { emptySeat } from '../../src/game/table-state.ts'
import { chooseMove } from '../../src/page/choose-move.ts'
import { legalActions, suggestedSizes } from '../../src/page/legal-actions.ts'

/** What a client of the gateway gets of a hand: Game's broadcast, with the fields that the gateway completes it by. */
function asSeen(hand: Hand): TableState {
  const seats = Array.from({ length: 9 }, (_, seatId) => {
    const player = hand.players.find((candidate) => candidate.seatId === seatId)
    return player
      ? { ...emptySeat(seatId), userId: player.userId, stack: player.stack, status: 'SEATED' as const }
      : emptySeat(seatId)
  })
  const { tableState } = tableSnapshot({
    tableId: 'T',
    name: 'Table',
    ownerId: 'ann',
    config: { ...defaultTableConfig, smallBlind: hand.smallBlind, bigBlind: hand.bigBlind },
    createdAt: 0,
    seats,
    spectators: new Map(),
    hand,
    button: hand.button,
    version: 1,
    updatedAt: 0,
  })
  const sent = structuredClone(tableState) as { hand: object }
  Object.assign(sent.hand, {
    roundContributions: Object.fromEntries(
      hand.players.map(({ seatId, roundContribution }) => [seatId, roundContribution]),
    ),
    actedSeats: hand.actedSeats,
    raiseCapped: hand.raiseCapped,
    bigBlind: hand.bigBlind,
  })
  const parsed = parseServerMessage({ type: 'TableSnapshot', tableState: sent })
  if (!parsed.ok || parsed.message.type !== 'TableSnapshot') throw new Error(JSON.stringify(parsed))
  return parsed.message.tableState
}

const hands: fc.Arbitrary<Hand> = fc
  .record({
    stacks: fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 2, maxLength: 6 }),
    smallBlind: fc.integer({ min: 1, max: 10 }),
    seed: fc.integer(),
  })
  .map(({ stacks, smallBlind, seed }) =>
    startHand({
      handId: 'H',
      seats: stacks.map((stack, seatId) => ({ seatId, userId: `user-${seatId}`, stack })),
      button: 0,
      smallBlind,
      bigBlind: smallBlind * 2,
      ante: 0,
      deck: shuffle(freshDeck(), seededRandom(seed)),
      at: 0,
    }),
  )

const types = { Fold: 'FOLD', Check: 'CHECK', Call: 'CALL', Bet: 'BET', Raise: 'RAISE' } as const

test('the page offers exactly what the engine allows, at every turn of any hand', () => {
  fc.assert(
    fc.property(hands, fc.infiniteStream(fc.integer({ min: 0, max: 999 })), (start, luck) => {
      const random = (): number => Number(luck.next().value) / 1000
      let hand = start
      while (hand.endedAt === null) {
        const table = asSeen(hand)
        for (const { seatId } of table.seats)
          if (seatId !== hand.turn) expect(legalActions(table, seatId)).toBeNull()
        const shown = legalActions(table, hand.turn)
        const allowed = legalMoves(hand)
        if (!shown || !table.hand) throw new Error('The seat in turn may do nothing')
        expect(shown.canCheck).toBe(allowed.types.includes('CHECK'))
        expect(shown.call !== null).toBe(allowed.types.includes('CALL'))
        expect(shown.raise && { min: shown.raise.min, max: shown.raise.max }).toEqual(allowed.raiseTo)
        if (shown.raise) expect(allowed.types).toContain(types[shown.raise.action])

        // What the robot picks, and every size that is suggested, the engine takes.
        const sizes = shown.raise ? suggestedSizes(table.hand, shown.raise) : []
        const wishes = sizes.map(({ to }) => ({
          action: shown.raise?.action ?? ('Bet' as const),
          amount: to,
        }))
        for (const { action, amount } of wishes)
          expect(act(hand, { seatId: hand.turn, type: types[action], amount, at: 1 }).ok).toBe(true)
        const { action, amount } = chooseMove(table.hand, shown, random)
        const result = act(hand, { seatId: hand.turn, type: types[action], amount, at: 1 })
        if (!result.ok) throw new Error(`${action} ${amount} was refused: ${result.error}`)
        hand = result.hand
      }
      expect(legalActions(asSeen(hand), hand.turn)).toBeNull()
    }),
    { numRuns: 150 },
  )
})

test('an amount is suggested once, under its largest name', () => {
  const hand = asSeen(
    startHand({
      handId: 'H',
      seats: [
        { seatId: 0, userId: 'ann', stack: 20 },
        { seatId: 1, userId: 'ben', stack: 20 },
      ],
      button: 0,
      smallBlind: 5,
      bigBlind: 10,
      ante: 0,
      deck: freshDeck(),
      at: 0,
    }),
  ).hand
  if (!hand) throw new Error('No hand')
  expect(suggestedSizes(hand, { min: 20, max: 20 })).toEqual([{ name: 'All in', to: 20 }])
})
