/** Game's protobuf messages as the web client's JSON: camelCase, real numbers, ISO times (contract §2.5). */
import type { Timestamp } from '@bufbuild/protobuf/wkt'
import { timestampDate } from '@bufbuild/protobuf/wkt'
import {
  type Card,
  handActionTypes,
  ranks,
  seatStatuses,
  streets,
  suits,
  tableStatuses,
  type TableState as TableStateJson,
  type TableSummary as TableSummaryJson,
} from '@gw/protocol'
import { GatewayError } from '../errors.ts'
import type { HandState, Table, TableConfig, TableState, TableSummary } from '../grpc/gen/game/game_pb.ts'

type ConfigJson = TableSummaryJson['config']
type HandJson = NonNullable<TableStateJson['hand']>

const iso = (time: Timestamp | undefined): string => (time ? timestampDate(time) : new Date(0)).toISOString()

/** `word` as one of `words`; a backend that says another is not understood, rather than relayed half understood. */
function oneOf<const T extends string>(words: readonly T[], word: string): T {
  const known = words.find((candidate) => candidate === word)
  if (known === undefined)
    throw new GatewayError('bad_gateway', `The service said an unknown word (${word.slice(0, 32)})`)
  return known
}

/** A card in the client's words. Throws `bad_gateway` on a rank or suit that doesn't exist. */
export function cardView({ rank, suit }: { readonly rank: string; readonly suit: string }): Card {
  return { rank: oneOf(ranks, rank), suit: oneOf(suits, suit) }
}

/** Amounts are int64 on the wire; chips stay far below 2^53. */
const chips = (amount: bigint): number => Number(amount)

function configView(config: TableConfig | undefined): ConfigJson {
  return {
    smallBlind: chips(config?.smallBlind ?? 1n),
    bigBlind: chips(config?.bigBlind ?? 2n),
    ante: chips(config?.ante ?? 0n),
    maxPlayers: config?.maxPlayers ?? 9,
    startingStack: chips(config?.startingStack ?? 200n),
    bettingStructure: 'NoLimit',
    turnTimerSeconds: config?.turnTimerSeconds ?? 20,
  }
}

function handView(hand: HandState): HandJson {
  return {
    handId: hand.handId,
    tableId: hand.tableId,
    street: oneOf(streets, hand.street),
    communityCards: hand.communityCards.map(cardView),
    pots: hand.pots.map((pot) => ({
      amount: chips(pot.amount),
      eligibleSeatIds: pot.eligibleSeatIds,
      winners: pot.winners,
    })),
    currentBet: chips(hand.currentBet),
    minRaise: chips(hand.minRaise),
    turn: hand.turn,
    lastAggressor: hand.lastAggressor,
    actions: hand.actions.map((action) => ({
      actionId: action.actionId,
      handId: action.handId,
      seatId: action.seatId,
      userId: action.userId,
      type: oneOf(handActionTypes, action.type),
      amount: chips(action.amount),
      timestamp: iso(action.timestamp),
    })),
    rakeAmount: chips(hand.rakeAmount),
    startedAt: iso(hand.startedAt),
    roundContributions: Object.fromEntries(
      Object.entries(hand.roundContributions).map(([seat, amount]) => [seat, chips(amount)]),
    ),
    actedSeats: hand.actedSeats,
    raiseCapped: hand.raiseCapped,
    bigBlind: chips(hand.bigBlind),
  }
}

/** The `tableState` of a TableSnapshot, from GetTable and GetTableState. Holds no hole cards. */
export function tableView(table: Table, state: TableState): TableStateJson {
  return {
    tableId: table.tableId,
    name: table.name,
    ownerId: table.ownerId,
    config: configView(table.config),
    status: state.hand ? 'PLAYING' : oneOf(tableStatuses, table.status),
    hand: state.hand ? handView(state.hand) : null,
    version: state.version,
    seats: state.seats.map((seat) => ({
      seatId: seat.seatId,
      userId: seat.userId ?? null,
      stack: chips(seat.stack),
      status: oneOf(seatStatuses, seat.status),
    })),
    spectators: state.spectators.map((spectator) => ({
      userId: spectator.userId,
      status: spectator.status,
      joinedAt: iso(spectator.joinedAt),
    })),
    updatedAt: iso(state.updatedAt),
    button: state.button,
  }
}

/** One row of LobbyTablesUpdated. */
export function summaryView(table: TableSummary): TableSummaryJson {
  return {
    tableId: table.tableId,
    name: table.name,
    ownerId: table.ownerId,
    config: configView(table.config),
    seatsTaken: table.seatsTaken,
    occupiedSeatIds: table.occupiedSeatIds,
    inProgress: table.inProgress,
    spectatorCount: table.spectatorCount,
  }
}
