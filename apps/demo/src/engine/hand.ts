import type { Card } from './cards.ts'

/** The stages of a hand. SHOWDOWN only when two or more players were left at the end. */
export type Street = 'PREFLOP' | 'FLOP' | 'TURN' | 'RIVER' | 'SHOWDOWN'

/** What a player may do in turn. */
export const actionTypes = ['FOLD', 'CHECK', 'CALL', 'BET', 'RAISE', 'ALL_IN'] as const
export type ActionType = (typeof actionTypes)[number]

/** Why an action was refused; the hand is unchanged. */
export type ActionRefusal =
  | 'NOT_YOUR_TURN'
  | 'SEAT_INACTIVE'
  | 'HAND_COMPLETE'
  | 'ILLEGAL_ACTION'
  | 'MISSING_AMOUNT'
  | 'INVALID_AMOUNT'
  | 'AMOUNT_TOO_SMALL'
  | 'AMOUNT_TOO_LARGE'

/** One player's part in a hand. Chips are whole numbers everywhere in the engine. */
export interface Player {
  readonly seatId: number
  readonly userId: string
  readonly startingStack: number
  readonly stack: number
  readonly holeCards: readonly Card[]
  readonly status: 'ACTIVE' | 'FOLDED' | 'ALL_IN'
  /** Put into the pot in the whole hand, antes included, returned bets excluded. */
  readonly committed: number
  /** Put in on the current street, antes excluded. */
  readonly roundContribution: number
  /** True when the player left the table during the hand; the seat may belong to somebody else by now. */
  readonly left: boolean
}

/** A line of the hand's log. `amount`: a blind's size, a bet, the total a RAISE or ALL_IN goes to; else 0. */
export interface LoggedAction {
  readonly seatId: number
  readonly userId: string
  readonly type: ActionType | 'POST_BLIND'
  readonly amount: number
  readonly street: Street
  readonly isAllIn: boolean
  /** Milliseconds since 1970. */
  readonly at: number
}

/** A main or side pot. `winners` is empty until the hand has ended. */
export interface Pot {
  readonly amount: number
  readonly eligibleSeatIds: readonly number[]
  readonly winners: readonly number[]
}

/** A whole hand as an immutable value: every step returns a new one. */
export interface Hand {
  readonly handId: string
  readonly button: number
  readonly smallBlind: number
  readonly bigBlind: number
  readonly ante: number
  readonly street: Street
  /** Cards not dealt yet, next one first. */
  readonly deck: readonly Card[]
  readonly communityCards: readonly Card[]
  /** In ascending seat order. */
  readonly players: readonly Player[]
  /** What a player must have put in on this street to stay in. */
  readonly currentBet: number
  /** The smallest full raise, as an increment over `currentBet`. */
  readonly minRaise: number
  /** The seat to act; after the end the last one that acted. */
  readonly turn: number
  readonly lastAggressor: number
  /** Seats that acted since the last full bet or raise. */
  readonly actedSeats: readonly number[]
  /** An all-in below a full raise was made: seats in `actedSeats` may call or fold, not raise. */
  readonly raiseCapped: boolean
  readonly actions: readonly LoggedAction[]
  readonly startedAt: number
  readonly endedAt: number | null
  readonly pots: readonly Pot[]
  /** Seats that won anything, and how much; empty until the hand has ended. */
  readonly payouts: ReadonlyMap<number, number>
}

/** The players that still may win. */
export function livePlayers(hand: Pick<Hand, 'players'>): Player[] {
  return hand.players.filter((player) => player.status !== 'FOLDED')
}

/** The player in a seat, when that seat takes part in the hand. */
export function playerAt(hand: Pick<Hand, 'players'>, seatId: number): Player | undefined {
  return hand.players.find((player) => player.seatId === seatId)
}

/** The hand with one player changed. */
export function withPlayer(hand: Hand, seatId: number, change: Partial<Player>): Hand {
  return {
    ...hand,
    players: hand.players.map((player) => (player.seatId === seatId ? { ...player, ...change } : player)),
  }
}

/** Players in order of play: the first one after `seatId`, around the table, that seat itself last. */
export function clockwiseFrom<T extends { readonly seatId: number }>(
  players: readonly T[],
  seatId: number,
): T[] {
  return [
    ...players.filter((player) => player.seatId > seatId),
    ...players.filter((player) => player.seatId <= seatId),
  ]
}
