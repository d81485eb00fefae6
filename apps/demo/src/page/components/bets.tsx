import type { Hand } from '@gw/protocol'
import type { JSX } from 'preact'
import { contributionOf } from '../legal-actions.ts'
import { ChipStack } from './chip-stack.tsx'
import type { Spot } from './seat.tsx'

interface BetsProps {
  readonly hand: Hand
  readonly spots: ReadonlyMap<number, Spot>
}

/** What each seat has put in on this street, in front of it. */
export function Bets({ hand, spots }: BetsProps): JSX.Element {
  return (
    <>
      {[...spots].map(([seatId, { x, y }]) => {
        const amount = contributionOf(hand, seatId)
        // One's own cards, at the bottom, are larger than the others'.
        const down = y > 0.9 ? 0.84 * y : y
        return amount === 0 ? null : (
          <span key={seatId} class="bet" style={{ '--x': x.toFixed(3), '--y': down.toFixed(3) }}>
            <ChipStack amount={amount} label={`Bet of seat ${seatId + 1}`} />
          </span>
        )
      })}
    </>
  )
}

/** Whose deal it is. */
export function DealerButton({ spot }: { readonly spot: Spot | undefined }): JSX.Element | null {
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
