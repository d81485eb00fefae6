import pokersolver, { type SolvedHand } from 'pokersolver'
import type { Card } from './cards.ts'
import { clockwiseFrom, type Hand, livePlayers, type Player, type Pot } from './hand.ts'
import { buildPots, returnUncalledBet } from './pots.ts'

/** The end of a hand: uncalled chips go back, every pot to its best hand, odd chips to the first seat after the button. */
export function finishHand(hand: Hand, at: number): Hand {
  const settled = returnUncalledBet(hand)
  const live = livePlayers(settled)
  const solved = live.length > 1 ? solveAll(live, settled.communityCards) : new Map<number, SolvedHand>()
  const payouts = new Map<number, number>()
  const pots = buildPots(settled.players).map((pot) => {
    const winners = potWinners(pot, solved)
    for (const [seatId, share] of split(settled, pot.amount, winners))
      payouts.set(seatId, (payouts.get(seatId) ?? 0) + share)
    return { ...pot, winners }
  })
  return {
    ...settled,
    street: live.length > 1 ? 'SHOWDOWN' : settled.street,
    players: settled.players.map((player) => ({
      ...player,
      stack: player.stack + (payouts.get(player.seatId) ?? 0),
    })),
    pots,
    payouts,
    currentBet: 0,
    endedAt: at,
  }
}

function solveAll(live: readonly Player[], community: readonly Card[]): Map<number, SolvedHand> {
  return new Map(
    live.map((player) => [
      player.seatId,
      pokersolver.Hand.solve([...player.holeCards, ...community].map(code)),
    ]),
  )
}

function potWinners(pot: Pot, solved: ReadonlyMap<number, SolvedHand>): number[] {
  const hands = pot.eligibleSeatIds.flatMap((seatId) => solved.get(seatId) ?? [])
  if (hands.length < 2) return [...pot.eligibleSeatIds]
  const best = new Set(pokersolver.Hand.winners(hands))
  return pot.eligibleSeatIds.filter((seatId) => {
    const hand = solved.get(seatId)
    return hand !== undefined && best.has(hand)
  })
}

function split(hand: Hand, amount: number, winners: readonly number[]): Map<number, number> {
  const share = Math.floor(amount / winners.length)
  let odd = amount - share * winners.length
  const inOrder = clockwiseFrom(hand.players, hand.button).filter((player) => winners.includes(player.seatId))
  return new Map(inOrder.map((player) => [player.seatId, share + (odd-- > 0 ? 1 : 0)]))
}

/** pokersolver's notation: `10` of hearts is `Th`. */
function code(card: Card): string {
  return (card.rank === '10' ? 'T' : card.rank) + card.suit.charAt(0)
}
