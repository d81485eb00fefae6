import type { Hand } from '@gw/protocol'
import type { JSX } from 'preact'
import { potOf } from '../legal-actions.ts'
import { chips, nameOf } from '../names.ts'
import { winnings } from '../narrate.ts'
import type { TableView } from '../page-state.ts'
import { ChipStack } from './chip-stack.tsx'
import { PlayingCard } from './playing-card.tsx'

interface BoardProps {
  readonly hand: Hand | null
  readonly view: TableView
}

/** The middle of the table: the pot, the common cards, and one word on how things stand. */
export function Board({ hand, view }: BoardProps): JSX.Element {
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
