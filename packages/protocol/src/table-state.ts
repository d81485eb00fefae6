/** The ranks of a card, low to high. */
export const ranks = ['2', '3', '4', '5', '6', '7', '8', '9', '10', 'J', 'Q', 'K', 'A'] as const
/** The suits of a card. */
export const suits = ['hearts', 'diamonds', 'clubs', 'spades'] as const
/** The betting rounds of a hand, in order. */
export const streets = ['PREFLOP', 'FLOP', 'TURN', 'RIVER', 'SHOWDOWN'] as const
/** What a table can be. */
export const tableStatuses = ['WAITING', 'PLAYING'] as const
/** What a seat can be. */
export const seatStatuses = ['EMPTY', 'RESERVED', 'SEATED', 'ACTIVE', 'FOLDED', 'ALL_IN'] as const
/** What happened in a hand; POST_BLIND is the table's own doing. */
export const handActionTypes = ['POST_BLIND', 'FOLD', 'CHECK', 'CALL', 'BET', 'RAISE', 'ALL_IN'] as const

/** One card of the 52. */
export interface Card {
  readonly rank: (typeof ranks)[number]
  readonly suit: (typeof suits)[number]
}

/** A table's rules; `bigBlind` is at least twice `smallBlind`, `ante` below `smallBlind`. A relayed state may lack `bettingStructure`. */
export interface TableConfig {
  readonly smallBlind: number
  readonly bigBlind: number
  readonly ante: number | null
  readonly maxPlayers: number
  readonly startingStack: number
  readonly bettingStructure?: 'NoLimit'
  readonly turnTimerSeconds: number
}

/** One table in the lobby's list. */
export interface TableSummary {
  readonly tableId: string
  readonly name: string
  readonly ownerId: string
  readonly config: TableConfig
  readonly seatsTaken: number
  readonly occupiedSeatIds: readonly number[]
  readonly inProgress: boolean
  readonly spectatorCount: number
}

/** A place at a table. `holeCards` is always null: cards travel in `HoleCards`, to their owner alone. */
export interface Seat {
  readonly seatId: number
  readonly userId: string | null
  readonly stack: number
  readonly status: (typeof seatStatuses)[number]
  readonly holeCards?: null
  readonly lastAction?: string
}

/** Someone who watches. */
export interface Spectator {
  readonly userId: string
  readonly status: string
  readonly joinedAt: string
}

/** Chips to be won and by whom. */
export interface Pot {
  readonly amount: number
  readonly eligibleSeatIds: readonly number[]
  readonly eligibleSeats?: readonly number[]
  readonly winners?: readonly number[]
}

/** One thing that was done in a hand; a CALL shows amount 0. */
export interface HandAction {
  readonly actionId: string
  readonly handId: string
  readonly seatId: number
  readonly userId: string
  readonly type: (typeof handActionTypes)[number]
  readonly amount: number
  readonly timestamp: string
}

/** A hand in play; the last four optional fields are what legal actions are computed from. */
export interface Hand {
  readonly handId: string
  readonly tableId: string
  readonly street: (typeof streets)[number]
  readonly communityCards: readonly Card[]
  readonly pots: readonly Pot[]
  readonly currentBet: number
  readonly minRaise: number
  readonly turn: number
  readonly lastAggressor: number
  readonly actions: readonly HandAction[]
  readonly rakeAmount: number
  readonly startedAt: string
  readonly endedAt?: string | null
  readonly winners?: readonly number[]
  readonly actionTimerDeadline?: string
  readonly roundContributions?: Readonly<Record<string, number>>
  readonly actedSeats?: readonly number[]
  readonly raiseCapped?: boolean
  readonly bigBlind?: number
}

/** All that everyone may see of a table; `version` grows with every change, times are ISO 8601. */
export interface TableState {
  readonly tableId: string
  readonly name: string
  readonly ownerId: string
  readonly config: TableConfig
  readonly status: (typeof tableStatuses)[number]
  readonly hand: Hand | null
  readonly version: number
  readonly seats: readonly Seat[]
  readonly spectators: readonly Spectator[]
  readonly updatedAt: string
  readonly button: number
}

/** New values of a table's fields: a key that is present replaces the old value, `hand: null` ends the hand. */
export type TableStatePatch = Partial<Omit<TableState, 'tableId' | 'updatedAt'>>
