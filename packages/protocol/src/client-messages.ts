import type { Position } from './position.ts'

/** Any client message may carry an `id` (1 to 64 units); with feature `acks` it gets exactly one answer that carries it. */
export interface Identified {
  readonly id?: string
}

/** A message about one table. */
export interface AboutTable extends Identified {
  readonly tableId: string
}

/** First frame: who I am, what I understand, where I was. On an open socket: a renewed token of the same user. */
export interface Authenticate extends Identified {
  readonly type: 'Authenticate'
  readonly token: string
  readonly features?: readonly string[]
  readonly resume?: Readonly<Record<string, Position>>
}

/** Sends me the table's state and its changes. */
export interface SubscribeTable extends AboutTable {
  readonly type: 'SubscribeTable'
  readonly since?: Position
}

/** Sends me the table's state again. */
export interface ResyncTable extends AboutTable {
  readonly type: 'ResyncTable'
  readonly since?: Position
}

/** Ends a subscription to a table. */
export interface UnsubscribeTable extends AboutTable {
  readonly type: 'UnsubscribeTable'
}

/** Takes a seat; without `buyInAmount` (or with one of 0 or less) the table's starting stack. */
export interface JoinSeat extends AboutTable {
  readonly type: 'JoinSeat'
  readonly seatId: number
  readonly buyInAmount?: number
}

/** Gives the seat back. */
export interface LeaveTable extends AboutTable {
  readonly type: 'LeaveTable'
}

/** What a player may do in a hand. */
export const playerActions = ['Fold', 'Check', 'Call', 'Bet', 'Raise'] as const

/** A move in a hand; with `handId` it is refused (`stale_hand`) when that hand is over. */
export interface Action extends AboutTable {
  readonly type: 'Action'
  readonly action: (typeof playerActions)[number]
  readonly amount?: number
  readonly handId?: string
}

/** Sends me a table's chat: its history, then new messages. */
export interface SubscribeChat extends AboutTable {
  readonly type: 'SubscribeChat'
  readonly since?: Position
}

/** Ends a subscription to a chat. */
export interface UnsubscribeChat extends AboutTable {
  readonly type: 'UnsubscribeChat'
}

/** Says something in a table's chat. */
export interface ChatSend extends AboutTable {
  readonly type: 'ChatSend'
  readonly message: string
}

/** Asks for a page of history next to a known chat message (its id), older or newer; the newest page without either. */
export interface GetChatHistory extends AboutTable {
  readonly type: 'GetChatHistory'
  readonly before?: string
  readonly after?: string
  readonly limit?: number
}

/** Removes a chat message: a moderator's right. */
export interface DeleteChatMessage extends AboutTable {
  readonly type: 'DeleteChatMessage'
  readonly messageId: string
}

/** I am writing in a table's chat (feature `typing`); not stored. Answered with `Ack`. */
export interface SetTyping extends AboutTable {
  readonly type: 'SetTyping'
}

/** Sends me the lobby; every connection starts subscribed. */
export interface SubscribeLobby extends Identified {
  readonly type: 'SubscribeLobby'
}

/** Spares me the lobby. */
export interface UnsubscribeLobby extends Identified {
  readonly type: 'UnsubscribeLobby'
}

/** Sends me the statuses of these users and their changes (feature `presence`). */
export interface SubscribePresence extends Identified {
  readonly type: 'SubscribePresence'
  readonly userIds: readonly string[]
}

/** Ends the subscription to these users' statuses. */
export interface UnsubscribePresence extends Identified {
  readonly type: 'UnsubscribePresence'
  readonly userIds: readonly string[]
}

/** I am away from this device, or back (feature `presence`). */
export interface SetAway extends Identified {
  readonly type: 'SetAway'
  readonly away: boolean
}

/** Are you there? Answered by `Pong`. */
export interface Ping extends Identified {
  readonly type: 'Ping'
}

/** Everything that a client may send. */
export type ClientMessage =
  | Authenticate
  | SubscribeTable
  | ResyncTable
  | UnsubscribeTable
  | JoinSeat
  | LeaveTable
  | Action
  | SubscribeChat
  | UnsubscribeChat
  | ChatSend
  | GetChatHistory
  | DeleteChatMessage
  | SetTyping
  | SubscribeLobby
  | UnsubscribeLobby
  | SubscribePresence
  | UnsubscribePresence
  | SetAway
  | Ping

/** The `type` of a client message. */
export type ClientMessageType = ClientMessage['type']
