import type { Hand, TableState } from '@gw/protocol'
import type { JSX } from 'preact'
import { winnings } from '../narrate.ts'
import { ownSeat, type PageState, type TableView } from '../page-state.ts'
import type { Session } from '../session.ts'
import { Bets, DealerButton } from './bets.tsx'
import { Board } from './board.tsx'
import { Seat, type Spot } from './seat.tsx'
import { TableTools } from './table-tools.tsx'

interface TableProps {
  readonly page: PageState
  readonly session: Session
}

/** The table: felt, board, pot, button, and the seats around it, one's own at the bottom. */
export function Table({ page, session }: TableProps): JSX.Element {
  const view = page.table
  const state = view?.state
  if (!view || !state)
    return (
      <section class="table-empty" aria-label="Table">
        <p>{view ? 'Opening the table…' : 'Pick a table in the lobby, or open a new one.'}</p>
      </section>
    )
  const mine = ownSeat(page)
  const spots = spotsOf(state, mine?.seatId)
  // An ended hand stays on the felt until the next one.
  const hand = state.hand ?? view.ended?.hand ?? null
  const won = view.ended ? winnings(view.ended.hand) : new Map<number, number>()
  return (
    <section class="table-wrap" aria-label={`Table ${state.name}`}>
      <TableTools page={page} state={state} session={session} />
      <div class="table">
        <div class="rail">
          <div class="felt" />
        </div>
        <Board hand={hand} view={view} />
        <ol class="seats" aria-label="Seats">
          {state.seats.map((seat) => {
            const { seatId } = seat
            const isTurn = state.hand?.turn === seatId && !state.hand.endedAt
            const ended = view.ended?.seats.find((other) => other.seatId === seatId)
            const isInHand = ['ACTIVE', 'ALL_IN'].includes((ended ?? seat).status)
            const cards = cardsOf(view, { seatId, isMine: mine?.seatId === seatId, hand })
            return (
              <Seat
                key={seatId}
                seat={seat}
                spot={spots.get(seatId) ?? { x: 0, y: 1 }}
                isMine={mine?.seatId === seatId}
                isTurn={isTurn}
                cards={cards}
                hasHiddenCards={hand !== null && isInHand && cards.length === 0}
                lastAction={view.ended ? undefined : lastActionOf(view, seatId)}
                won={ended?.userId === seat.userId ? (won.get(seatId) ?? 0) : 0}
                deadline={isTurn ? deadlineOf(view, page.connection.clockOffsetMs) : undefined}
                totalMs={state.config.turnTimerSeconds * 1000}
                onSit={mine ? undefined : () => void session.sit(seatId)}
              />
            )
          })}
        </ol>
        {state.hand && !state.hand.endedAt && <Bets hand={state.hand} spots={spots} />}
        {hand && <DealerButton spot={spots.get(state.button)} />}
      </div>
    </section>
  )
}

/** One's own seat at the bottom, the others clockwise around. */
function spotsOf(state: TableState, ownSeatId: number | undefined): ReadonlyMap<number, Spot> {
  const count = state.seats.length
  const first = state.seats.findIndex(({ seatId }) => seatId === ownSeatId)
  return new Map(
    state.seats.map(({ seatId }, at) => {
      const turn = ((at - Math.max(0, first) + count) % count) / count
      const angle = Math.PI / 2 + turn * 2 * Math.PI
      return [seatId, { x: Math.cos(angle), y: Math.sin(angle) }]
    }),
  )
}

function cardsOf(
  { holeCards, ended }: TableView,
  { seatId, isMine, hand }: { readonly seatId: number; readonly isMine: boolean; readonly hand: Hand | null },
) {
  if (isMine && holeCards && hand?.handId === holeCards.handId) return holeCards.cards
  return ended?.hand.handId === hand?.handId ? (ended?.shown.get(seatId) ?? []) : []
}

function lastActionOf({ state, streetFrom }: TableView, seatId: number) {
  return state?.hand?.actions.slice(streetFrom).findLast((action) => action.seatId === seatId)
}

/** By our own clock. */
function deadlineOf({ timer, state }: TableView, clockOffsetMs: number): number | undefined {
  if (!timer || timer.handId !== state?.hand?.handId || timer.currentTurnSeat !== state.hand.turn)
    return undefined
  return Date.parse(timer.deadlineTs) - clockOffsetMs
}
