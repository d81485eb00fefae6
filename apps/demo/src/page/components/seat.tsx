import type { Card, HandAction, Seat as SeatState } from '@gw/protocol'
import type { JSX } from 'preact'
import { chips, nameOf } from '../names.ts'
import { Avatar } from './avatar.tsx'
import { PlayingCard } from './playing-card.tsx'
import { TimerRing } from './timer-ring.tsx'

/** Where around the table: the centre is 0, 0, the edge is 1 away. */
export interface Spot {
  readonly x: number
  readonly y: number
}

export interface SeatProps {
  readonly seat: SeatState
  readonly spot: Spot
  readonly isMine: boolean
  readonly isTurn: boolean
  /** Cards to show: one's own, or shown ones. */
  readonly cards: readonly Card[]
  /** Holds cards that are not shown. */
  readonly hasHiddenCards: boolean
  readonly lastAction: HandAction | undefined
  /** Chips won in the hand that has just ended. */
  readonly won: number
  readonly deadline: number | undefined
  readonly totalMs: number
  /** Absent: this user may not sit here. */
  readonly onSit?: (() => void) | undefined
}

/** One place at the table: empty, or somebody with a stack, cards, and what they did last. */
export function Seat(props: SeatProps): JSX.Element {
  const { seat, spot, isTurn, isMine, won } = props
  const place = { '--x': spot.x.toFixed(3), '--y': spot.y.toFixed(3) }
  if (seat.userId === null) return <EmptySeat {...props} place={place} />
  const isOut = seat.status === 'FOLDED'
  return (
    <li
      class="seat"
      style={place}
      data-user={seat.userId}
      data-mine={isMine ? '' : undefined}
      data-turn={isTurn ? '' : undefined}
      data-out={isOut ? '' : undefined}
      data-won={won > 0 ? '' : undefined}
    >
      <SeatCards {...props} />
      <div class="plate">
        <span class="plate-face">
          <Avatar user={seat.userId} />
          {isTurn && props.deadline !== undefined && (
            <TimerRing deadline={props.deadline} totalMs={props.totalMs} />
          )}
        </span>
        <span class="plate-text">
          <span class="plate-name">{isMine ? 'You' : nameOf(seat.userId)}</span>
          <span class="plate-stack" title="Chips at the table">
            {seat.status === 'ALL_IN' ? 'All in' : chips(seat.stack)}
          </span>
        </span>
      </div>
      <SeatWord {...props} />
    </li>
  )
}

function EmptySeat({
  seat,
  place,
  onSit,
}: SeatProps & { readonly place: Record<string, string> }): JSX.Element {
  return (
    <li class="seat empty" style={place}>
      {onSit ? (
        <button type="button" class="sit" onClick={onSit} aria-label={`Sit down at seat ${seat.seatId + 1}`}>
          Sit
        </button>
      ) : (
        <span class="empty-mark" role="img" aria-label={`Seat ${seat.seatId + 1}, empty`} />
      )}
    </li>
  )
}

function SeatCards({ cards, hasHiddenCards, won }: SeatProps): JSX.Element | null {
  if (cards.length === 0 && !hasHiddenCards) return null
  return (
    <div class="hand">
      {cards.length > 0 ? (
        cards.map((card) => <PlayingCard key={card.rank + card.suit} card={card} isWinning={won > 0} />)
      ) : (
        <>
          <PlayingCard />
          <PlayingCard />
        </>
      )}
    </div>
  )
}

const actionWords: Readonly<Record<HandAction['type'], string>> = {
  POST_BLIND: 'Blind',
  FOLD: 'Fold',
  CHECK: 'Check',
  CALL: 'Call',
  BET: 'Bet',
  RAISE: 'Raise',
  ALL_IN: 'All in',
}

/** What is said about the seat just now: what it won, or its last move. */
function SeatWord({ won, lastAction, seat, isTurn }: SeatProps): JSX.Element | null {
  if (won > 0) return <span class="word won">+{chips(won)}</span>
  if (seat.status === 'RESERVED') return <span class="word">sitting down</span>
  if (!lastAction || isTurn) return null
  const { type, amount } = lastAction
  const isSized = type === 'BET' || type === 'RAISE'
  return (
    <span class="word" data-type={type}>
      {actionWords[type]}
      {isSized && ` ${chips(amount)}`}
    </span>
  )
}
