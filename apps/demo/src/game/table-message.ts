import type { MessageInitShape } from '@bufbuild/protobuf'
import { timestampFromMs } from '@bufbuild/protobuf/wkt'
import type { Hand } from '../engine/hand.ts'
import { buildPots } from '../engine/pots.ts'
import type {
  HandStateSchema,
  TableConfigSchema,
  TableSchema,
  TableStateSchema,
  TableSummarySchema,
} from '../gen/game/game_pb.ts'
import type { TableConfig } from './table-config.ts'
import { actionId, tableSummary } from './table-json.ts'
import { seatView, type TableState } from './table-state.ts'

/** game.Table */
export function toTable(state: TableState): MessageInitShape<typeof TableSchema> {
  const { tableId, name, ownerId } = state
  return {
    tableId,
    name,
    ownerId,
    config: toConfig(state.config),
    status: state.hand ? 'PLAYING' : 'WAITING',
    createdAt: timestampFromMs(state.createdAt),
  }
}

/** game.TableSummary */
export function toSummary(state: TableState): MessageInitShape<typeof TableSummarySchema> {
  return { ...tableSummary(state), config: toConfig(state.config) }
}

/** game.TableState: no hole cards in it, those are a field of their own in the answer. */
export function toTableState(state: TableState): MessageInitShape<typeof TableStateSchema> {
  return {
    tableId: state.tableId,
    seats: state.seats.map((seat) => {
      const { stack, status } = seatView(state, seat)
      const user = seat.userId === null ? {} : { userId: seat.userId }
      return { seatId: seat.seatId, stack: BigInt(stack), status, ...user }
    }),
    spectators: [...state.spectators].map(([userId, joinedAt]) => ({
      userId,
      status: 'ACTIVE',
      joinedAt: timestampFromMs(joinedAt),
    })),
    ...(state.hand ? { hand: toHand(state.hand, state) } : {}),
    button: state.button,
    version: state.version,
    updatedAt: timestampFromMs(state.updatedAt),
  }
}

function toConfig(config: TableConfig): MessageInitShape<typeof TableConfigSchema> {
  const { maxPlayers, turnTimerSeconds } = config
  return {
    smallBlind: BigInt(config.smallBlind),
    bigBlind: BigInt(config.bigBlind),
    ante: BigInt(config.ante),
    maxPlayers,
    startingStack: BigInt(config.startingStack),
    turnTimerSeconds,
  }
}

function toHand(hand: Hand, state: TableState): MessageInitShape<typeof HandStateSchema> {
  const { handId, street, turn, lastAggressor, raiseCapped } = hand
  const pots = hand.endedAt === null ? buildPots(hand.players) : hand.pots
  const contributions = new Map(hand.players.map((player) => [player.seatId, player.roundContribution]))
  return {
    handId,
    tableId: state.tableId,
    street,
    communityCards: [...hand.communityCards],
    pots: pots.map((pot) => ({
      amount: BigInt(pot.amount),
      eligibleSeatIds: [...pot.eligibleSeatIds],
      winners: [...pot.winners],
    })),
    currentBet: BigInt(hand.currentBet),
    minRaise: BigInt(hand.minRaise),
    turn,
    lastAggressor,
    actions: hand.actions.map(({ seatId, userId, type, amount, at }, index) => ({
      actionId: actionId(hand, index),
      handId,
      seatId,
      userId,
      type,
      amount: BigInt(amount),
      timestamp: timestampFromMs(at),
    })),
    rakeAmount: 0n,
    startedAt: timestampFromMs(hand.startedAt),
    roundContributions: Object.fromEntries(
      state.seats.map(({ seatId }) => [seatId, BigInt(contributions.get(seatId) ?? 0)]),
    ),
    actedSeats: [...hand.actedSeats],
    raiseCapped,
    bigBlind: BigInt(hand.bigBlind),
  }
}
