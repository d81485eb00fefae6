import { clockwiseFrom, type Hand, livePlayers, type Player, type Street } from './hand.ts'
import { returnUncalledBet } from './pots.ts'
import { finishHand } from './showdown.ts'

const next: Record<Street, { street: Street; cards: number } | null> = {
  PREFLOP: { street: 'FLOP', cards: 3 },
  FLOP: { street: 'TURN', cards: 1 },
  TURN: { street: 'RIVER', cards: 1 },
  RIVER: null,
  SHOWDOWN: null,
}

/** After a player has acted: the next turn, or the next streets, or the end of the hand. */
export function advance(hand: Hand, at: number): Hand {
  if (livePlayers(hand).length < 2) return finishHand(hand, at)
  if (isRoundClosed(hand)) return nextStreet(returnUncalledBet(hand), at)
  const toAct = clockwiseFrom(hand.players, hand.turn).find((player) => mustAct(hand, player))
  return toAct ? { ...hand, turn: toAct.seatId } : hand
}

/** True when nobody is left who has to act on this street. */
export function isRoundClosed(hand: Hand): boolean {
  const active = hand.players.filter((player) => player.status === 'ACTIVE')
  const [only] = active
  if (!only) return true
  if (active.length > 1) return !active.some((player) => mustAct(hand, player))
  // The last one with chips has nobody to bet against: only a bet that others really put in is left to be called.
  const others = livePlayers(hand).filter((player) => player !== only)
  return only.roundContribution >= Math.max(...others.map((player) => player.roundContribution))
}

function mustAct(hand: Hand, player: Player): boolean {
  if (player.status !== 'ACTIVE') return false
  return player.roundContribution < hand.currentBet || !hand.actedSeats.includes(player.seatId)
}

/** Deals on until two players can bet again, or, when the board is complete, to the showdown. */
function nextStreet(hand: Hand, at: number): Hand {
  const step = next[hand.street]
  if (!step) return finishHand(hand, at)
  const dealt: Hand = {
    ...hand,
    street: step.street,
    communityCards: [...hand.communityCards, ...hand.deck.slice(0, step.cards)],
    deck: hand.deck.slice(step.cards),
    players: hand.players.map((player) => ({ ...player, roundContribution: 0 })),
    currentBet: 0,
    minRaise: hand.bigBlind,
    actedSeats: [],
    raiseCapped: false,
  }
  const active = clockwiseFrom(dealt.players, hand.button).filter((player) => player.status === 'ACTIVE')
  const [first] = active
  return first && active.length > 1 ? { ...dealt, turn: first.seatId } : nextStreet(dealt, at)
}
