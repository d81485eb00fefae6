import { type Hand, livePlayers, type Player, type Pot, withPlayer } from './hand.ts'

/**
 * Main and side pots, one per level of what the players who are still in have put in. Chips of folded players go to
 * the levels they reached; what they put in above every live player stays in the last pot.
 */
export function buildPots(players: readonly Player[]): Pot[] {
  const live = livePlayers({ players })
  const levels = [...new Set(live.map((player) => player.committed))]
    .filter((level) => level > 0)
    .sort(ascending)
  const total = sum(players.map((player) => player.committed))
  const pots: Pot[] = []
  let below = 0
  let placed = 0
  for (const level of levels) {
    const amount = sum(players.map((player) => clamp(player.committed, below, level)))
    const eligible = live.filter((player) => player.committed >= level)
    pots.push({ amount, eligibleSeatIds: eligible.map((player) => player.seatId), winners: [] })
    below = level
    placed += amount
  }
  if (placed === total) return pots
  const last = pots.pop() ?? { amount: 0, eligibleSeatIds: live.map((player) => player.seatId), winners: [] }
  return [...pots, { ...last, amount: last.amount + total - placed }]
}

/** Gives back what a live player put in above everybody else: nobody matched it, so it was never at stake. */
export function returnUncalledBet(hand: Hand): Hand {
  const [top, second] = [...hand.players].sort((a, b) => b.committed - a.committed)
  if (!top || top.status === 'FOLDED') return hand
  const excess = top.committed - (second?.committed ?? 0)
  if (excess <= 0) return hand
  return withPlayer(hand, top.seatId, {
    committed: top.committed - excess,
    roundContribution: Math.max(0, top.roundContribution - excess),
    stack: top.stack + excess,
    status: 'ACTIVE',
  })
}

/** What of `value` lies between two levels. */
function clamp(value: number, from: number, to: number): number {
  return Math.max(0, Math.min(value, to) - from)
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

function ascending(a: number, b: number): number {
  return a - b
}
