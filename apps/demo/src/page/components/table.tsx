import type { Hand, TableState } from '@gw/protocol'
import type { JSX } from 'preact'
import { contributionOf, potOf } from '../legal-actions.ts'
import { chips, nameOf } from '../names.ts'
import { winnings } from '../narrate.ts'
import { ownSeat, type PageState, type TableView } from '../page-state.ts'
import type { Session } from '../session.ts'
import { ChipStack } from './chip-stack.tsx'
import { PlayingCard } from './playing-card.tsx'
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
                won={won.get(seatId) ?? 0}
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

interface BoardProps {
  readonly hand: Hand | null
  readonly view: TableView
}

function Board({ hand, view }: BoardProps): JSX.Element {
  const seated = view.state?.seats.filter(({ status }) => status === 'SEATED').length ?? 0
  if (!hand)
    return (
      <div class="board">
        <p class="board-word">
          {seated >= 2 ? 'The next hand begins…' : seated === 1 ? 'One more player is needed' : 'Take a seat'}
        </p>
      </div>
    )
  const { communityCards } = hand
  return (
    <div class="board">
      <ChipStack amount={potOf(hand)} label="Pot" />
      <div class="board-cards" role="group" aria-label="Board">
        {Array.from({ length: 5 }, (_, at) => {
          const card = communityCards[at]
          return card ? <PlayingCard key={at} card={card} /> : <span key={at} class="card slot" />
        })}
      </div>
      <p class="board-word">{boardWord(hand, view)}</p>
    </div>
  )
}

function boardWord(hand: Hand, { state }: TableView): string {
  if (!hand.endedAt)
    return { PREFLOP: 'Pre-flop', FLOP: 'Flop', TURN: 'Turn', RIVER: 'River', SHOWDOWN: '' }[hand.street]
  const won = [...winnings(hand)].map(([seatId, amount]) => {
    const action = hand.actions.findLast((candidate) => candidate.seatId === seatId)
    const userId = action?.userId ?? state?.seats.find((seat) => seat.seatId === seatId)?.userId
    return `${nameOf(userId ?? `seat ${seatId + 1}`)} wins ${chips(amount)}`
  })
  return won.join(', ')
}

function Bets({
  hand,
  spots,
}: {
  readonly hand: Hand
  readonly spots: ReadonlyMap<number, Spot>
}): JSX.Element {
  return (
    <>
      {[...spots].map(([seatId, { x, y }]) => {
        const amount = contributionOf(hand, seatId)
        return amount === 0 ? null : (
          <span key={seatId} class="bet" style={{ '--x': x.toFixed(3), '--y': y.toFixed(3) }}>
            <ChipStack amount={amount} label={`Bet of seat ${seatId + 1}`} />
          </span>
        )
      })}
    </>
  )
}

function DealerButton({ spot }: { readonly spot: Spot | undefined }): JSX.Element | null {
  if (!spot) return null
  // Beside the bet, not on it.
  const angle = Math.atan2(spot.y, spot.x) + 0.33
  return (
    <span
      class="dealer"
      role="img"
      aria-label="Dealer button"
      title="Dealer button"
      style={{ '--x': Math.cos(angle).toFixed(3), '--y': Math.sin(angle).toFixed(3) }}
    >
      D
    </span>
  )
}
