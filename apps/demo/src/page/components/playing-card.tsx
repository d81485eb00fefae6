import type { Card } from '@gw/protocol'
import type { JSX } from 'preact'
import { cardName } from '../card-names.ts'
import { Suit } from './suit.tsx'

interface PlayingCardProps {
  /** Absent: face down. */
  readonly card?: Card | undefined
  readonly isWinning?: boolean
}

/** One card, face up or down. */
export function PlayingCard({ card, isWinning = false }: PlayingCardProps): JSX.Element {
  if (!card) return <span class="card back" role="img" aria-label="a card face down" />
  const { rank, suit } = card
  const color = suit === 'hearts' || suit === 'diamonds' ? 'red' : 'black'
  return (
    <span
      class="card face"
      role="img"
      aria-label={cardName(card)}
      data-color={color}
      data-winning={isWinning ? '' : undefined}
    >
      <span class="corner" aria-hidden="true">
        {rank}
        <Suit suit={suit} />
      </span>
      <Suit suit={suit} />
    </span>
  )
}
