import { advance, isRoundClosed } from './betting.ts'
import {
  type ActionRefusal,
  type ActionType,
  type Hand,
  livePlayers,
  playerAt,
  type Player,
  withPlayer,
} from './hand.ts'

/** A player's wish. `amount`: the chips of a BET, the total on this street that a RAISE goes to; ignored for the rest. */
export interface Move {
  readonly seatId: number
  readonly type: ActionType
  readonly amount?: number | undefined
  /** Milliseconds since 1970. */
  readonly at: number
}

export type ActResult =
  | { readonly ok: true; readonly hand: Hand }
  | { readonly ok: false; readonly error: ActionRefusal }

/** One move by the rules of no-limit hold'em: the hand after it, or why it was refused. */
export function act(hand: Hand, move: Move): ActResult {
  if (hand.endedAt !== null) return refuse('HAND_COMPLETE')
  const player = playerAt(hand, move.seatId)
  if (!player || player.status !== 'ACTIVE') return refuse('SEAT_INACTIVE')
  if (hand.turn !== move.seatId) return refuse('NOT_YOUR_TURN')
  return moves[move.type](hand, player, move)
}

const moves: Record<ActionType, (hand: Hand, player: Player, move: Move) => ActResult> = {
  FOLD: (hand, player, move) => done(withPlayer(hand, player.seatId, { status: 'FOLDED' }), move, 0),
  CHECK: (hand, player, move) => (owed(hand, player) > 0 ? refuse('ILLEGAL_ACTION') : done(hand, move, 0)),
  CALL: (hand, player, move) =>
    owed(hand, player) > 0
      ? done(pay(hand, player, Math.min(owed(hand, player), player.stack)), move, 0)
      : refuse('ILLEGAL_ACTION'),
  BET: (hand, player, move) => (hand.currentBet > 0 ? refuse('ILLEGAL_ACTION') : raise(hand, player, move)),
  RAISE: (hand, player, move) =>
    hand.currentBet === 0 ? refuse('ILLEGAL_ACTION') : raise(hand, player, move),
  ALL_IN: (hand, player, move) => {
    const total = player.roundContribution + player.stack
    return total > hand.currentBet
      ? raise(hand, player, { ...move, amount: total })
      : done(pay(hand, player, player.stack), move, total)
  },
}

/** What the seat in turn may do: types, and the range of the total that a BET or RAISE may go to (null: none). */
export interface LegalMoves {
  readonly types: readonly ActionType[]
  readonly raiseTo: { readonly min: number; readonly max: number } | null
}

/** The legal moves of the seat in turn; none after the end. */
export function legalMoves(hand: Hand): LegalMoves {
  const player = playerAt(hand, hand.turn)
  if (hand.endedAt !== null || player?.status !== 'ACTIVE') return { types: [], raiseTo: null }
  const max = player.roundContribution + player.stack
  const mayRaise = max > hand.currentBet && !isCapped(hand, player)
  const types: ActionType[] = ['FOLD', player.roundContribution < hand.currentBet ? 'CALL' : 'CHECK']
  if (mayRaise) types.push(hand.currentBet === 0 ? 'BET' : 'RAISE')
  if (mayRaise || max <= hand.currentBet) types.push('ALL_IN')
  return { types, raiseTo: mayRaise ? { min: Math.min(max, hand.currentBet + hand.minRaise), max } : null }
}

/** What happens when the turn's time is over: a check when it is free, else a fold. */
export function timeoutMove(hand: Hand, at: number): Move {
  const type = legalMoves(hand).types.includes('CHECK') ? 'CHECK' : 'FOLD'
  return { seatId: hand.turn, type, at }
}

/**
 * A player gets up: folds, in turn or not, and takes the remaining stack away (`cashOut`). Null when the player is
 * all-in: those chips are at stake, so the seat can only be given up after the hand.
 */
export function leaveHand(hand: Hand, seatId: number, at: number): { hand: Hand; cashOut: number } | null {
  const player = playerAt(hand, seatId)
  if (!player || player.left) return { hand, cashOut: 0 }
  if (player.status === 'ALL_IN' && hand.endedAt === null) return null
  const gone = withPlayer(hand, seatId, { status: 'FOLDED', stack: 0, left: true })
  if (hand.endedAt !== null || player.status === 'FOLDED') return { hand: gone, cashOut: player.stack }
  const folded = logged(gone, { seatId, type: 'FOLD', at }, 0)
  const isDecided = livePlayers(folded).length < 2 || isRoundClosed(folded) || folded.turn === seatId
  return { hand: isDecided ? advance(folded, at) : folded, cashOut: player.stack }
}

function raise(hand: Hand, player: Player, move: Move): ActResult {
  const { amount: to } = move
  const max = player.roundContribution + player.stack
  if (isCapped(hand, player)) return refuse('ILLEGAL_ACTION')
  if (to === undefined) return refuse('MISSING_AMOUNT')
  if (!Number.isSafeInteger(to) || to <= 0) return refuse('INVALID_AMOUNT')
  if (to > max) return refuse('AMOUNT_TOO_LARGE')
  const step = to - hand.currentBet
  if (step <= 0 || (step < hand.minRaise && to < max)) return refuse('AMOUNT_TOO_SMALL')
  const paid = pay(hand, player, to - player.roundContribution)
  const isFull = step >= hand.minRaise
  const raised: Hand = {
    ...paid,
    currentBet: to,
    lastAggressor: player.seatId,
    minRaise: isFull ? step : hand.minRaise,
    actedSeats: isFull ? [] : hand.actedSeats,
    raiseCapped: !isFull,
  }
  return done(raised, move, to)
}

function owed(hand: Hand, player: Player): number {
  return hand.currentBet - player.roundContribution
}

/** After an incomplete all-in raise, those who have acted already may not raise again. */
function isCapped(hand: Hand, player: Player): boolean {
  return hand.raiseCapped && hand.actedSeats.includes(player.seatId)
}

function pay(hand: Hand, player: Player, chips: number): Hand {
  return withPlayer(hand, player.seatId, {
    stack: player.stack - chips,
    committed: player.committed + chips,
    roundContribution: player.roundContribution + chips,
    status: chips === player.stack ? 'ALL_IN' : 'ACTIVE',
  })
}

function done(hand: Hand, move: Move, amount: number): ActResult {
  const acted = {
    ...hand,
    actedSeats: [...hand.actedSeats.filter((seat) => seat !== move.seatId), move.seatId],
  }
  return { ok: true, hand: advance(logged(acted, move, amount), move.at) }
}

function logged(hand: Hand, { seatId, type, at }: Move, amount: number): Hand {
  const player = playerAt(hand, seatId)
  const isAllIn = player?.status === 'ALL_IN'
  const entry = { seatId, userId: player?.userId ?? '', type, amount, street: hand.street, isAllIn, at }
  return { ...hand, actions: [...hand.actions, entry] }
}

function refuse(error: ActionRefusal): ActResult {
  return { ok: false, error }
}
