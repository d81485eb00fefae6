import type { Hand } from '@gw/protocol'
import { type LegalActions, type Move, suggestedSizes } from './legal-actions.ts'

/** A robot's move: mostly along, sometimes up, seldom away. `random`: in [0, 1). */
export function chooseMove(hand: Hand, legal: LegalActions, random: () => number): Move {
  const luck = random()
  const { raise, call } = legal
  const isCheap = call === null || call <= (hand.bigBlind ?? 0) * 4
  if (raise && luck > (call === null ? 0.7 : 0.9)) {
    const sizes = suggestedSizes(hand, raise)
    const size = sizes[Math.floor(random() * Math.min(2, sizes.length))]
    if (size) return { action: raise.action, amount: size.to }
  }
  if (call === null) return { action: 'Check' }
  return luck < (isCheap ? 0.1 : 0.55) ? { action: 'Fold' } : { action: 'Call' }
}
