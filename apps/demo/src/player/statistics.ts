import type { Clock } from '../clock.ts'
import type { FinishedHand } from '../event/hand-record.ts'

/** A player's record. `vpip` and `pfr` are percentages of the hands played. */
export interface Statistics {
  readonly userId: string
  readonly handsPlayed: number
  readonly wins: number
  readonly vpip: number
  readonly pfr: number
  readonly allInCount: number
  readonly biggestPot: number
  readonly lastUpdated: string
}

interface Counts {
  hands: number
  wins: number
  voluntary: number
  raisedPreflop: number
  allIns: number
  biggestPot: number
  updatedAt: number
}

const maxPlayers = 100_000

/** Counts what players did in finished hands. */
export class StatisticsBook {
  readonly #counts = new Map<string, Counts>()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get(userId: string): Statistics {
    const counts = this.#counts.get(userId) ?? this.#empty()
    const share = (part: number): number => (counts.hands === 0 ? 0 : (100 * part) / counts.hands)
    return {
      userId,
      handsPlayed: counts.hands,
      wins: counts.wins,
      vpip: share(counts.voluntary),
      pfr: share(counts.raisedPreflop),
      allInCount: counts.allIns,
      biggestPot: counts.biggestPot,
      lastUpdated: new Date(counts.updatedAt).toISOString(),
    }
  }

  /** Adds one hand to each of its players. */
  add(hand: FinishedHand): void {
    const pot = hand.pots.reduce((sum, each) => sum + each.amount, 0)
    for (const participant of hand.participants) {
      const known = this.#counts.get(participant.userId)
      if (!known && this.#counts.size >= maxPlayers) continue
      const counts = known ?? this.#empty()
      const preflop = participant.actions.filter((action) => action.street === 'PREFLOP')
      const has = (types: readonly string[]): boolean =>
        preflop.some((action) => types.includes(action.action))
      const isWinner = hand.winners.some((winner) => winner.userId === participant.userId)
      counts.hands++
      if (isWinner) counts.wins++
      if (has(['CALL', 'BET', 'RAISE', 'ALL_IN'])) counts.voluntary++
      if (has(['BET', 'RAISE', 'ALL_IN'])) counts.raisedPreflop++
      if (participant.wentAllIn) counts.allIns++
      if (isWinner) counts.biggestPot = Math.max(counts.biggestPot, pot)
      counts.updatedAt = this.#clock.now()
      this.#counts.set(participant.userId, counts)
    }
  }

  #empty(): Counts {
    const updatedAt = this.#clock.now()
    return { hands: 0, wins: 0, voluntary: 0, raisedPreflop: 0, allIns: 0, biggestPot: 0, updatedAt }
  }
}
