import { z } from 'zod'
import { limits } from './limits.ts'
import {
  type Card,
  type Hand,
  handActionTypes,
  ranks,
  seatStatuses,
  streets,
  suits,
  type TableState,
  type TableStatePatch,
  tableStatuses,
  type TableSummary,
} from './table-state.ts'

const name = z.string().min(1)
const count = z.int().min(0)
const seatId = z.int().min(0).max(limits.maxSeatId)
const time = z.iso.datetime()

/** A card of the 52. */
export const cardSchema: z.ZodType<Card> = z.object({ rank: z.enum(ranks), suit: z.enum(suits) })

const config = z
  .object({
    smallBlind: z.int().min(1),
    bigBlind: z.int().min(1),
    ante: count.nullable(),
    maxPlayers: z
      .int()
      .min(2)
      .max(limits.maxSeatId + 1),
    startingStack: z.int().min(1),
    bettingStructure: z.literal('NoLimit').exactOptional(),
    turnTimerSeconds: z.int().min(1),
  })
  .refine(({ bigBlind, smallBlind }) => bigBlind >= 2 * smallBlind, 'bigBlind below twice smallBlind')
  .refine(({ ante, smallBlind }) => ante === null || ante < smallBlind, 'ante not below smallBlind')

/** One table of the lobby's list, as strict as today's web client. */
export const tableSummarySchema: z.ZodType<TableSummary> = z.object({
  tableId: name,
  name: z.string(),
  ownerId: z.string(),
  config,
  seatsTaken: count,
  occupiedSeatIds: z.array(seatId),
  inProgress: z.boolean(),
  spectatorCount: count,
})

const seat = z.object({
  seatId,
  userId: z.string().nullable(),
  stack: count,
  status: z.enum(seatStatuses),
  // Cards travel in HoleCards only: a state with cards in a seat must not pass.
  holeCards: z.null().exactOptional(),
  lastAction: time.exactOptional(),
})

const pot = z.object({
  amount: count,
  eligibleSeatIds: z.array(seatId),
  eligibleSeats: z.array(seatId).exactOptional(),
  winners: z.array(seatId).exactOptional(),
})

const handAction = z.object({
  actionId: name,
  handId: name,
  seatId,
  userId: z.string(),
  type: z.enum(handActionTypes),
  amount: count,
  timestamp: time,
})

const hand: z.ZodType<Hand> = z.object({
  handId: name,
  tableId: name,
  street: z.enum(streets),
  communityCards: z.array(cardSchema).max(5),
  pots: z.array(pot),
  currentBet: count,
  minRaise: count,
  turn: seatId,
  lastAggressor: seatId,
  actions: z.array(handAction),
  rakeAmount: count,
  startedAt: time,
  endedAt: time.nullable().exactOptional(),
  winners: z.array(seatId).exactOptional(),
  actionTimerDeadline: time.exactOptional(),
  roundContributions: z.record(z.string().regex(/^[0-8]$/), count).exactOptional(),
  actedSeats: z.array(seatId).exactOptional(),
  raiseCapped: z.boolean().exactOptional(),
  bigBlind: count.exactOptional(),
})

const state = {
  name: z.string(),
  ownerId: z.string(),
  config,
  status: z.enum(tableStatuses),
  hand: hand.nullable(),
  version: z.int(),
  seats: z.array(seat).max(limits.maxSeatId + 1),
  spectators: z.array(z.object({ userId: z.string(), status: z.string(), joinedAt: time })),
  button: seatId,
}

/** A table's whole public state, as strict as today's web client. */
export const tableStateSchema: z.ZodType<TableState> = z.object({ tableId: name, ...state, updatedAt: time })

/** Any of the fields of a state that a patch may replace. */
export const tableStatePatchSchema: z.ZodType<TableStatePatch> = z.object({
  name: state.name.exactOptional(),
  ownerId: state.ownerId.exactOptional(),
  config: state.config.exactOptional(),
  status: state.status.exactOptional(),
  hand: state.hand.exactOptional(),
  version: state.version.exactOptional(),
  seats: state.seats.exactOptional(),
  spectators: state.spectators.exactOptional(),
  button: state.button.exactOptional(),
})
