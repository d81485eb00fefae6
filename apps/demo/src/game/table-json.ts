import type { JsonObject } from '@bufbuild/protobuf'
import type { Hand } from '../engine/hand.ts'
import { buildPots } from '../engine/pots.ts'
import { type Seat, seatView, type TableState } from './table-state.ts'

// A broadcast must stay below the 64 KiB that a gateway takes: lists that grow without end get a share of it.
const maxSpectatorBytes = 24 * 1024
const maxLobbyBytes = 56 * 1024

/** The broadcast of a table: what clients receive unchanged. camelCase, real numbers, nobody's hole cards, the first 24 kB of spectators. */
export function tableSnapshot(state: TableState): JsonObject {
  const tableState = {
    tableId: state.tableId,
    name: state.name,
    ownerId: state.ownerId,
    config: { ...state.config },
    status: state.hand ? 'PLAYING' : 'WAITING',
    hand: state.hand ? handJson(state.hand, state.tableId) : null,
    version: state.version,
    seats: state.seats.map((seat) => seatJson(state, seat)),
    spectators: fitting(state.spectators, maxSpectatorBytes, spectatorJson),
    updatedAt: iso(state.updatedAt),
    button: state.button,
  }
  return { type: 'TableSnapshot', tableState }
}

/** The broadcast of the lobby: as many tables as 56 kB hold, those with players before the empty ones. */
export function lobbyUpdate(tables: readonly TableState[]): JsonObject {
  const summaries = tables.map((state) => {
    const summary = tableSummary(state)
    return { ...summary, config: { ...summary.config } }
  })
  const isTaken = (summary: { readonly seatsTaken: number }): boolean => summary.seatsTaken > 0
  const inOrder = [...summaries.filter(isTaken), ...summaries.filter((summary) => !isTaken(summary))]
  return { type: 'LobbyTablesUpdated', tables: fitting(inOrder, maxLobbyBytes, (summary) => summary) }
}

/** What the lobby shows of a table. */
export function tableSummary(state: TableState) {
  const occupiedSeatIds = state.seats.flatMap((seat) => (seat.userId === null ? [] : seat.seatId))
  return {
    tableId: state.tableId,
    name: state.name,
    ownerId: state.ownerId,
    config: state.config,
    seatsTaken: occupiedSeatIds.length,
    occupiedSeatIds,
    inProgress: state.hand !== null,
    spectatorCount: state.spectators.size,
  }
}

function spectatorJson([userId, joinedAt]: readonly [string, number]): JsonObject {
  return { userId, status: 'ACTIVE', joinedAt: iso(joinedAt) }
}

/** The first items whose JSON has at most `maxBytes` together; what comes after them costs nothing. */
function fitting<T>(items: Iterable<T>, maxBytes: number, toJson: (item: T) => JsonObject): JsonObject[] {
  const list: JsonObject[] = []
  let bytes = 0
  for (const item of items) {
    const json = toJson(item)
    bytes += Buffer.byteLength(JSON.stringify(json)) + 1
    if (bytes > maxBytes) break
    list.push(json)
  }
  return list
}

function seatJson(state: TableState, seat: Seat): JsonObject {
  const { stack, status } = seatView(state, seat)
  const lastAction = seat.lastActionAt === null ? {} : { lastAction: iso(seat.lastActionAt) }
  return { seatId: seat.seatId, userId: seat.userId, stack, status, ...lastAction, holeCards: null }
}

function handJson(hand: Hand, tableId: string): JsonObject {
  const isOver = hand.endedAt !== null
  const pots = isOver ? hand.pots : buildPots(hand.players)
  return {
    handId: hand.handId,
    tableId,
    street: hand.street,
    communityCards: hand.communityCards.map((card) => ({ ...card })),
    pots: pots.map((pot) => ({
      amount: pot.amount,
      eligibleSeats: [...pot.eligibleSeatIds],
      ...(isOver ? { winners: [...pot.winners] } : {}),
      eligibleSeatIds: [...pot.eligibleSeatIds],
    })),
    currentBet: hand.currentBet,
    minRaise: hand.minRaise,
    turn: hand.turn,
    lastAggressor: hand.lastAggressor,
    actions: hand.actions.map(({ seatId, userId, type, amount, at }, index) => ({
      actionId: actionId(hand, index),
      handId: hand.handId,
      seatId,
      userId,
      type,
      amount,
      timestamp: iso(at),
    })),
    rakeAmount: 0,
    startedAt: iso(hand.startedAt),
    ...(isOver ? { winners: [...hand.payouts.keys()] } : {}),
    endedAt: hand.endedAt === null ? null : iso(hand.endedAt),
  }
}

/** An action's id: stable, and unique within the platform. */
export function actionId(hand: Pick<Hand, 'handId'>, index: number): string {
  return `${hand.handId}:${index + 1}`
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}
