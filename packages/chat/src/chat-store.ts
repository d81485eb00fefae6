import type { ChatMessage } from './chat-message.ts'

/** What is kept of a room. */
export interface ChatRetention {
  /** By the age of each message. Default 24 h. */
  readonly retentionMs?: number
  /** Messages of one room; the oldest go first. Default 1000. */
  readonly maxMessages?: number
  /** How long a retried message is recognised. Default 10 min. */
  readonly idempotencyMs?: number
}

/** The defaults of every store. */
export const retentionDefaults: Required<ChatRetention> = {
  retentionMs: 86_400_000,
  maxMessages: 1000,
  idempotencyMs: 600_000,
}

/** One message to keep. With `idempotencyKey` (of the room) it is kept once. */
export interface SaveRequest {
  readonly roomId: string
  readonly message: ChatMessage
  readonly idempotencyKey?: string
}

/** What is kept: on a duplicate the message that came first. `gone`: it was deleted or trimmed since, and must not go live. */
export interface SaveResult {
  readonly message: ChatMessage
  readonly duplicate: boolean
  readonly gone?: true
}

/** Which page: right before or right after a message of the room, or the newest. */
export interface ReadRequest {
  readonly roomId: string
  readonly limit: number
  readonly before?: string
  readonly after?: string
}

/**
 * A page, oldest first. `more`: another lies beyond it in the direction asked for. `cursorFound: false`: the message named is
 * no longer kept; then `before` gives nothing and `after` all that is left, so there may be a hole.
 */
export interface HistoryPage {
  readonly messages: readonly ChatMessage[]
  readonly more: boolean
  readonly cursorFound: boolean
}

/** `already_deleted` as long as the deleted message's place is kept, so that a retry can tell: as long as the message would be. */
export type DeleteResult = 'deleted' | 'already_deleted' | 'not_found'

/**
 * Keeps rooms. Messages of a room have one order, that of their saving; a page joins exactly to its neighbours; nothing
 * older than the retention is ever returned; a deleted message's id still works as a cursor. Throws `ChatError`.
 */
export interface ChatStore {
  save(request: SaveRequest): Promise<SaveResult>
  read(request: ReadRequest): Promise<HistoryPage>
  delete(roomId: string, messageId: string): Promise<DeleteResult>
  /** Drops what is too old or too much; gives how many messages went. */
  trim(roomId: string): Promise<number>
}
