import type {
  ChatErrorReason,
  ErrorCode,
  PresenceStatus,
  ReconnectReason,
  ResetReason,
} from './error-codes.ts'
import type { Feature } from './features.ts'
import type { Position, Positioned } from './position.ts'
import type { Card, TableState, TableStatePatch, TableSummary } from './table-state.ts'

/** An answer carries the `id` of the message that it answers. */
export interface Answering {
  readonly id?: string
}

/** The first message after a good `Authenticate`. The optional fields come to a client that asked for a feature. */
export interface Welcome extends Answering {
  readonly type: 'Welcome'
  readonly userId: string
  readonly connectionId: string
  readonly instanceId?: string
  readonly features?: readonly Feature[]
  readonly heartbeatMs?: number
  readonly tokenExpiresAt?: string
}

/** How one channel of a `resume` went: joined on, joined afresh (a snapshot follows), or refused. */
export type ResumedChannel =
  | (Position & { readonly recovered: boolean })
  | { readonly recovered: false; readonly error: ErrorCode }

/** The answer to a `resume`, before any message that was missed. */
export interface Resumed {
  readonly type: 'Resumed'
  readonly channels: Readonly<Record<string, ResumedChannel>>
}

/** A channel that comes by itself is joined: the position from which its messages go on. To a client with any feature. */
export interface Subscribed extends Position {
  readonly type: 'Subscribed'
  readonly channel: string
  readonly recovered?: boolean
}

/** All tables: after Welcome, and when the content of the list changed. */
export interface LobbyTablesUpdated extends Answering, Positioned {
  readonly type: 'LobbyTablesUpdated'
  readonly tables: readonly TableSummary[]
}

/** A table's whole state: the answer to a subscribe or resync (then `recovered` tells whether `since` was joined on), and each change. */
export interface TableSnapshot extends Answering, Positioned {
  readonly type: 'TableSnapshot'
  readonly tableState: TableState
  readonly recovered?: boolean
}

/** A part of a table's state that replaces the old one. */
export interface TablePatch extends Positioned {
  readonly type: 'TablePatch'
  readonly tableId: string
  readonly handId?: string
  readonly patch: TableStatePatch
}

/** The receiver's own two cards. */
export interface HoleCards {
  readonly type: 'HoleCards'
  readonly tableId: string
  readonly handId: string
  readonly cards: readonly [Card, Card]
}

/** Whose turn it is and until when. */
export interface TimerUpdate extends Positioned {
  readonly type: 'TimerUpdate'
  readonly tableId: string
  readonly handId: string
  readonly currentTurnSeat: number
  readonly deadlineTs: string
}

/** Someone began to watch. */
export interface SpectatorJoined extends Positioned {
  readonly type: 'SpectatorJoined'
  readonly tableId: string
  readonly userId: string
  readonly username?: string
  readonly spectatorCount: number
}

/** Someone stopped watching. */
export interface SpectatorLeft extends Positioned {
  readonly type: 'SpectatorLeft'
  readonly tableId: string
  readonly userId: string
  readonly username?: string
  readonly spectatorCount: number
}

/** The answer to an `Action`; `reason` is empty when accepted, else one of `actionReasons` or the game's word. */
export interface ActionResult extends Answering {
  readonly type: 'ActionResult'
  readonly tableId: string
  readonly accepted: boolean
  readonly reason: string
}

/** One line of a chat; `ts` is ISO 8601. */
export interface ChatEntry {
  readonly id: string
  readonly userId: string
  readonly username: string
  readonly text: string
  readonly ts: string
}

/** The answer to `SubscribeChat`: history oldest first, and the position from which live messages go on. */
export interface ChatSubscribed extends Answering, Positioned {
  readonly type: 'ChatSubscribed'
  readonly tableId: string
  readonly history: readonly ChatEntry[]
  readonly recovered?: boolean
}

/** Someone said something. */
export interface ChatMessage extends Positioned {
  readonly type: 'ChatMessage'
  readonly tableId: string
  readonly message: ChatEntry
}

/** A moderator removed a message. */
export interface ChatDeleted extends Positioned {
  readonly type: 'ChatDeleted'
  readonly tableId: string
  readonly messageId: string
}

/** A page of history, oldest first; `more` tells whether another lies beyond it in the direction asked for. */
export interface ChatHistory extends Answering {
  readonly type: 'ChatHistory'
  readonly tableId: string
  readonly history: readonly ChatEntry[]
  readonly more: boolean
}

/** A chat message was refused. */
export interface ChatError extends Answering {
  readonly type: 'ChatError'
  readonly tableId: string
  readonly reason: ChatErrorReason
  readonly retryAfterMs?: number
}

/** Someone is writing (feature `typing`). */
export interface Typing {
  readonly type: 'Typing'
  readonly tableId: string
  readonly userId: string
}

/** The answer to `SubscribePresence`. */
export interface PresenceSnapshot extends Answering {
  readonly type: 'PresenceSnapshot'
  readonly users: Readonly<Record<string, PresenceStatus>>
}

/** A user's status changed at `at` (ISO 8601). */
export interface PresenceChanged extends Positioned {
  readonly type: 'PresenceChanged'
  readonly userId: string
  readonly status: PresenceStatus
  readonly at: string
}

/** Done (feature `acks`). After `ChatSend` with the stored message's id and position; `duplicate` when it had been done before. */
export interface Ack extends Positioned {
  readonly type: 'Ack'
  readonly id: string
  readonly duplicate?: boolean
  readonly messageId?: string
  readonly tokenExpiresAt?: string
}

/** Not done: to every client, with `code` and `retryable` from this gateway; the one before it sent `message` alone. */
export interface ErrorMessage extends Answering {
  readonly type: 'Error'
  readonly message: string
  readonly code?: ErrorCode
  readonly retryable?: boolean
  readonly retryAfterMs?: number
  readonly tableId?: string
}

/** A channel's continuity was lost: forget its position. A snapshot follows where the channel has one. */
export interface Reset {
  readonly type: 'Reset'
  readonly channel: string
  readonly epoch: string
  readonly reason: ResetReason
}

/** Nothing else was sent for a while (feature `heartbeat`); `at` is the server's time, ISO 8601. */
export interface Heartbeat {
  readonly type: 'Heartbeat'
  readonly at: string
}

/** The answer to `Ping`; `at` is the server's time, ISO 8601. */
export interface Pong extends Answering {
  readonly type: 'Pong'
  readonly at: string
}

/** The server goes: connect again after `afterMs` (feature `drain`). */
export interface Reconnect {
  readonly type: 'Reconnect'
  readonly afterMs: number
  readonly reason: ReconnectReason
}

/** The token ends at `expiresAt` (ISO 8601): send `Authenticate` with a new one. To a client with any feature. */
export interface TokenExpiring {
  readonly type: 'TokenExpiring'
  readonly expiresAt: string
}

/** Everything that the gateway may send. */
export type ServerMessage =
  | Welcome
  | Resumed
  | Subscribed
  | LobbyTablesUpdated
  | TableSnapshot
  | TablePatch
  | HoleCards
  | TimerUpdate
  | SpectatorJoined
  | SpectatorLeft
  | ActionResult
  | ChatSubscribed
  | ChatMessage
  | ChatDeleted
  | ChatHistory
  | ChatError
  | Typing
  | PresenceSnapshot
  | PresenceChanged
  | Ack
  | ErrorMessage
  | Reset
  | Heartbeat
  | Pong
  | Reconnect
  | TokenExpiring

/** The `type` of a server message. */
export type ServerMessageType = ServerMessage['type']
