import { z } from 'zod'
import {
  chatErrorReasons,
  errorCodes,
  presenceStatuses,
  reconnectReasons,
  resetReasons,
} from './error-codes.ts'
import { features } from './features.ts'
import { limits } from './limits.ts'
import type { ChatEntry, ResumedChannel, ServerMessage, ServerMessageType } from './server-messages.ts'
import { cardSchema, tableStatePatchSchema, tableStateSchema, tableSummarySchema } from './table-schemas.ts'

const name = z.string().min(1)
const time = z.iso.datetime()
const ms = z.int().min(0)
const seatId = z.int().min(0).max(limits.maxSeatId)
const epoch = name.max(limits.maxEpochLength)
const seq = z.int().min(0)
const id = name.max(limits.maxIdLength)
const answering = { id: id.exactOptional() }
const positioned = {
  channel: name.exactOptional(),
  epoch: epoch.exactOptional(),
  seq: seq.exactOptional(),
}
const recovered = z.boolean().exactOptional()
const spectator = {
  ...positioned,
  tableId: name,
  userId: name,
  username: z.string().exactOptional(),
  spectatorCount: z.int().min(0),
}

/** One line of a chat. */
export const chatEntrySchema: z.ZodType<ChatEntry> = z.object({
  id: name,
  userId: name,
  username: z.string(),
  text: z.string().max(limits.maxChatLength),
  ts: time,
})

const resumedChannel: z.ZodType<ResumedChannel> = z.union([
  z.object({ recovered: z.boolean(), epoch, seq }),
  z.object({ recovered: z.literal(false), error: z.enum(errorCodes) }),
])

/** A schema for each server message, by its `type`. */
export type ServerSchemas = {
  readonly [T in ServerMessageType]: z.ZodType<Extract<ServerMessage, { type: T }>>
}

/**
 * One schema for each server message, as strict as today's web client about the contract's fields. For whoever receives:
 * tests, the SDK's tests, the demo. Unknown fields pass and are dropped.
 */
export const serverSchemas: ServerSchemas = {
  Welcome: z.object({
    type: z.literal('Welcome'),
    ...answering,
    userId: name,
    connectionId: name,
    instanceId: name.exactOptional(),
    features: z.array(z.enum(features)).exactOptional(),
    heartbeatMs: ms.exactOptional(),
    tokenExpiresAt: time.exactOptional(),
  }),
  Resumed: z.object({ type: z.literal('Resumed'), channels: z.record(name, resumedChannel) }),
  Subscribed: z.object({ type: z.literal('Subscribed'), channel: name, epoch, seq, recovered }),
  LobbyTablesUpdated: z.object({
    type: z.literal('LobbyTablesUpdated'),
    ...answering,
    ...positioned,
    tables: z.array(tableSummarySchema),
  }),
  TableSnapshot: z.object({
    type: z.literal('TableSnapshot'),
    ...answering,
    ...positioned,
    tableState: tableStateSchema,
    recovered,
  }),
  TablePatch: z.object({
    type: z.literal('TablePatch'),
    ...positioned,
    tableId: name,
    handId: name.exactOptional(),
    patch: tableStatePatchSchema,
  }),
  HoleCards: z.object({
    type: z.literal('HoleCards'),
    tableId: name,
    handId: name,
    cards: z.tuple([cardSchema, cardSchema]),
  }),
  TimerUpdate: z.object({
    type: z.literal('TimerUpdate'),
    ...positioned,
    tableId: name,
    handId: name,
    currentTurnSeat: seatId,
    deadlineTs: time,
  }),
  SpectatorJoined: z.object({ type: z.literal('SpectatorJoined'), ...spectator }),
  SpectatorLeft: z.object({ type: z.literal('SpectatorLeft'), ...spectator }),
  ActionResult: z.object({
    type: z.literal('ActionResult'),
    ...answering,
    tableId: name,
    accepted: z.boolean(),
    reason: z.string(),
  }),
  ChatSubscribed: z.object({
    type: z.literal('ChatSubscribed'),
    ...answering,
    ...positioned,
    tableId: name,
    history: z.array(chatEntrySchema).max(limits.maxHistoryPage),
    recovered,
  }),
  ChatMessage: z.object({
    type: z.literal('ChatMessage'),
    ...positioned,
    tableId: name,
    message: chatEntrySchema,
  }),
  ChatDeleted: z.object({ type: z.literal('ChatDeleted'), ...positioned, tableId: name, messageId: name }),
  ChatHistory: z.object({
    type: z.literal('ChatHistory'),
    ...answering,
    tableId: name,
    history: z.array(chatEntrySchema).max(limits.maxHistoryPage),
    more: z.boolean(),
  }),
  ChatError: z.object({
    type: z.literal('ChatError'),
    ...answering,
    tableId: name,
    reason: z.enum(chatErrorReasons),
    retryAfterMs: ms.exactOptional(),
  }),
  Typing: z.object({ type: z.literal('Typing'), tableId: name, userId: name }),
  PresenceSnapshot: z.object({
    type: z.literal('PresenceSnapshot'),
    ...answering,
    users: z.record(name, z.enum(presenceStatuses)),
  }),
  PresenceChanged: z.object({
    type: z.literal('PresenceChanged'),
    ...positioned,
    userId: name,
    status: z.enum(presenceStatuses),
    at: time,
  }),
  Ack: z.object({
    type: z.literal('Ack'),
    id,
    ...positioned,
    duplicate: z.boolean().exactOptional(),
    messageId: name.exactOptional(),
    tokenExpiresAt: time.exactOptional(),
  }),
  Error: z.object({
    type: z.literal('Error'),
    ...answering,
    message: z.string(),
    code: z.enum(errorCodes).exactOptional(),
    retryable: z.boolean().exactOptional(),
    retryAfterMs: ms.exactOptional(),
    tableId: name.exactOptional(),
  }),
  Reset: z.object({ type: z.literal('Reset'), channel: name, epoch, reason: z.enum(resetReasons) }),
  Heartbeat: z.object({ type: z.literal('Heartbeat'), at: time }),
  Pong: z.object({ type: z.literal('Pong'), ...answering, at: time }),
  Reconnect: z.object({
    type: z.literal('Reconnect'),
    afterMs: ms,
    reason: z.enum(reconnectReasons),
  }),
  TokenExpiring: z.object({ type: z.literal('TokenExpiring'), expiresAt: time }),
}
