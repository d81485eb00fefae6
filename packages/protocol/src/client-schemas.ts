import { z } from 'zod'
import { playerActions, type ClientMessage, type ClientMessageType } from './client-messages.ts'
import { limits } from './limits.ts'
import type { Position } from './position.ts'

// With the `u` flag a whole pair is one code point; what is left of this category is a half.
const halfPair = /\p{Surrogate}/u

/** As I-JSON asks (RFC 7493, 2.1): half a surrogate pair is in no backend's name and in no key. */
const text = (maxLength: number) =>
  z
    .string()
    .min(1)
    .max(maxLength)
    .refine((value) => !halfPair.test(value), 'not well-formed Unicode')
const name = text(limits.maxNameLength)
const id = text(limits.maxIdLength).exactOptional()

/** A position as a client states it. */
export const positionSchema: z.ZodType<Position> = z.object({
  epoch: z.string().min(1).max(limits.maxEpochLength),
  seq: z.int().min(0),
})

// Today's web client sends amounts as numbers or as decimal strings, sometimes with a fraction; chips are whole.
const chips = z
  .union([
    z.number(),
    z
      .string()
      .trim()
      .regex(/^-?\d{1,15}(\.\d+)?$/)
      .transform(Number),
  ])
  .transform(Math.trunc)
  .refine(Number.isSafeInteger, 'not a safe integer')

const table = { id, tableId: name }
const since = positionSchema.exactOptional()
const userIds = z.array(name).min(1).max(limits.maxPresenceUsers)

const resume = z
  .record(text(limits.maxChannelLength), positionSchema)
  .refine((channels) => Object.keys(channels).length <= limits.maxResumeChannels, 'too many channels')

/** A schema for each client message, by its `type`. */
export type ClientSchemas = {
  readonly [T in ClientMessageType]: z.ZodType<Extract<ClientMessage, { type: T }>>
}

/** One schema for each client message; fields that it does not name are dropped. */
export const clientSchemas: ClientSchemas = {
  Authenticate: z.object({
    type: z.literal('Authenticate'),
    id,
    token: z.string().trim().min(1),
    features: z.array(z.string().max(limits.maxIdLength)).max(limits.maxFeatures).exactOptional(),
    resume: resume.exactOptional(),
  }),
  SubscribeTable: z.object({ type: z.literal('SubscribeTable'), ...table, since }),
  ResyncTable: z.object({ type: z.literal('ResyncTable'), ...table, since }),
  UnsubscribeTable: z.object({ type: z.literal('UnsubscribeTable'), ...table }),
  JoinSeat: z.object({
    type: z.literal('JoinSeat'),
    ...table,
    seatId: z.int().min(0).max(limits.maxSeatId),
    buyInAmount: chips.exactOptional(),
  }),
  LeaveTable: z.object({ type: z.literal('LeaveTable'), ...table }),
  Action: z.object({
    type: z.literal('Action'),
    ...table,
    action: z.enum(playerActions),
    amount: chips.exactOptional(),
    handId: name.exactOptional(),
  }),
  SubscribeChat: z.object({ type: z.literal('SubscribeChat'), ...table, since }),
  UnsubscribeChat: z.object({ type: z.literal('UnsubscribeChat'), ...table }),
  // Its length is a rule of the chat, not of the wire: an overlong message deserves a `ChatError`.
  ChatSend: z.object({ type: z.literal('ChatSend'), ...table, message: z.string() }),
  GetChatHistory: z.object({
    type: z.literal('GetChatHistory'),
    ...table,
    before: name.exactOptional(),
    after: name.exactOptional(),
    limit: z.int().min(1).max(limits.maxHistoryPage).exactOptional(),
  }),
  DeleteChatMessage: z.object({ type: z.literal('DeleteChatMessage'), ...table, messageId: name }),
  SetTyping: z.object({ type: z.literal('SetTyping'), ...table }),
  SubscribeLobby: z.object({ type: z.literal('SubscribeLobby'), id }),
  UnsubscribeLobby: z.object({ type: z.literal('UnsubscribeLobby'), id }),
  SubscribePresence: z.object({ type: z.literal('SubscribePresence'), id, userIds }),
  UnsubscribePresence: z.object({ type: z.literal('UnsubscribePresence'), id, userIds }),
  SetAway: z.object({ type: z.literal('SetAway'), id, away: z.boolean() }),
  Ping: z.object({ type: z.literal('Ping'), id }),
}
