import type { Card } from '../engine/cards.ts'
import { type Hand, type Player, playerAt } from '../engine/hand.ts'
import type { TableConfig } from './table-config.ts'

/** A chair. RESERVED while the buy-in is on its way; `isLeaving`: all-in and gone, given up when the hand ends. */
export interface Seat {
  readonly seatId: number
  readonly userId: string | null
  readonly stack: number
  readonly status: 'EMPTY' | 'RESERVED' | 'SEATED'
  readonly isLeaving: boolean
  /** Milliseconds since 1970; null before the first action. */
  readonly lastActionAt: number | null
}

/** Everything about a table, as an immutable value. */
export interface TableState {
  readonly tableId: string
  readonly name: string
  readonly ownerId: string
  readonly config: TableConfig
  readonly createdAt: number
  readonly seats: readonly Seat[]
  readonly spectators: ReadonlyMap<string, number>
  readonly hand: Hand | null
  readonly button: number
  /** Grows by one with every change that is published. */
  readonly version: number
  readonly updatedAt: number
}

/** An empty chair. */
export function emptySeat(seatId: number): Seat {
  return { seatId, userId: null, stack: 0, status: 'EMPTY', isLeaving: false, lastActionAt: null }
}

/** The player that a seat has in the running hand, unless that player has left and the seat is somebody else's. */
export function playerOf(state: TableState, seat: Seat): Player | undefined {
  const player = state.hand ? playerAt(state.hand, seat.seatId) : undefined
  return player && !player.left && player.userId === seat.userId ? player : undefined
}

/** A seat's chips and status as everybody may see them. */
export function seatView(state: TableState, seat: Seat): { stack: number; status: string } {
  const player = playerOf(state, seat)
  if (!player) return { stack: seat.stack, status: seat.status }
  return { stack: player.stack, status: state.hand?.endedAt === null ? player.status : 'SEATED' }
}

/** The cards that this user holds in the running hand; nobody else's, and none for everybody else. */
export function holeCardsOf(state: TableState, userId: string | undefined): readonly Card[] {
  if (userId === undefined || !state.hand) return []
  const player = state.hand.players.find((candidate) => candidate.userId === userId && !candidate.left)
  return player?.holeCards ?? []
}

/** The chair of a user, taken or reserved. */
export function seatOf(state: TableState, userId: string): Seat | undefined {
  return state.seats.find((seat) => seat.userId === userId)
}
