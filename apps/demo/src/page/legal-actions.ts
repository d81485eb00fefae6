import type { Action, Hand, TableState } from '@gw/protocol'

/** What a seat may do now, from what a snapshot says (PROTOCOL.md, Hand). */
export interface LegalActions {
  readonly canCheck: boolean
  /** Chips that a call costs, the rest of the stack when that is less; null: nothing to call. */
  readonly call: number | null
  /** The total of this street that a bet or raise may go to; null: neither. */
  readonly raise: { readonly action: 'Bet' | 'Raise'; readonly min: number; readonly max: number } | null
}

/** A move as the wire takes it. */
export type Move = Pick<Action, 'action' | 'amount'>

/** Null unless it is this seat's turn in a running hand. */
export function legalActions(table: TableState, seatId: number | undefined): LegalActions | null {
  const { hand } = table
  const seat = table.seats.find((candidate) => candidate.seatId === seatId)
  if (!hand || hand.endedAt || !seat || seat.status !== 'ACTIVE' || hand.turn !== seat.seatId) return null
  const putIn = contributionOf(hand, seat.seatId)
  const owed = Math.max(0, hand.currentBet - putIn)
  const max = putIn + seat.stack
  // After an all-in below a full raise, who has acted already may not raise again.
  const isCapped = (hand.raiseCapped ?? false) && (hand.actedSeats ?? []).includes(seat.seatId)
  const mayRaise = max > hand.currentBet && !isCapped
  return {
    canCheck: owed === 0,
    call: owed > 0 ? Math.min(owed, seat.stack) : null,
    raise: mayRaise
      ? {
          action: hand.currentBet === 0 ? 'Bet' : 'Raise',
          min: Math.min(max, hand.currentBet + hand.minRaise),
          max,
        }
      : null,
  }
}

/** What a seat has put in on this street. */
export function contributionOf(hand: Hand, seatId: number): number {
  return hand.roundContributions?.[String(seatId)] ?? 0
}

/** All chips of the hand, those before the seats included. */
export function potOf(hand: Hand): number {
  return hand.pots.reduce((sum, { amount }) => sum + amount, 0)
}

/** Sizes to bet or raise to, small to large, each within the legal range and named once. */
export function suggestedSizes(
  hand: Hand,
  { min, max }: { readonly min: number; readonly max: number },
): readonly { readonly name: string; readonly to: number }[] {
  const bet = hand.currentBet
  const pot = potOf(hand)
  const wishes = [
    { name: 'Min', to: min },
    { name: '½ pot', to: bet + Math.round(pot / 2) },
    { name: 'Pot', to: bet + pot },
    { name: 'All in', to: max },
  ]
  const fitting = wishes.filter(({ to }) => to >= min && to <= max)
  return fitting.filter(({ to }, at) => !fitting.slice(at + 1).some((later) => later.to === to))
}
