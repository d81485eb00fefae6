import { requireCounts } from './chat-error.ts'
import type { ChatMessage } from './chat-message.ts'
import {
  type ChatRetention,
  type ChatStore,
  type DeleteResult,
  type HistoryPage,
  type ReadRequest,
  retentionDefaults,
  type SaveRequest,
  type SaveResult,
} from './chat-store.ts'

interface Entry {
  readonly id: string
  readonly atMs: number
  /** Undefined once deleted: the place stays, as a cursor. */
  message: ChatMessage | undefined
}

interface Room {
  entries: Entry[]
  readonly sent: Map<string, { readonly message: ChatMessage; readonly untilMs: number }>
}

export interface MemoryChatStoreOptions extends ChatRetention {
  /** Rooms; the one written longest ago goes first. Default 10 000. */
  readonly maxRooms?: number
  /** Unix time in ms. Default `Date.now`. */
  readonly now?: () => number
}

/** Keeps rooms in this process: for one instance, and for tests. Bounded in rooms, messages and remembered keys. */
export class MemoryChatStore implements ChatStore {
  readonly #rooms = new Map<string, Room>()
  readonly #retention: Required<ChatRetention>
  readonly #maxRooms: number
  readonly #now: () => number

  constructor(options: MemoryChatStoreOptions = {}) {
    const { maxRooms = 10_000, now = Date.now, ...retention } = options
    this.#retention = { ...retentionDefaults, ...retention }
    this.#maxRooms = maxRooms
    this.#now = now
    requireCounts({ ...this.#retention, maxRooms })
  }

  async save({ roomId, message, idempotencyKey }: SaveRequest): Promise<SaveResult> {
    const nowMs = this.#now()
    const room: Room = this.#rooms.get(roomId) ?? { entries: [], sent: new Map() }
    const sent = idempotencyKey === undefined ? undefined : room.sent.get(idempotencyKey)
    const first = sent && sent.untilMs > nowMs ? sent.message : undefined
    const entry = room.entries.find(({ id }) => id === (first ?? message).id)
    if (first || entry) {
      const duplicate = { message: first ?? message, duplicate: true }
      return entry?.message ? duplicate : { ...duplicate, gone: true }
    }
    room.entries.push({ id: message.id, atMs: nowMs, message })
    if (idempotencyKey !== undefined) {
      room.sent.delete(idempotencyKey)
      room.sent.set(idempotencyKey, { message, untilMs: nowMs + this.#retention.idempotencyMs })
    }
    this.#rooms.delete(roomId)
    this.#rooms.set(roomId, room)
    this.#trim(room, nowMs)
    this.#evict()
    return { message, duplicate: false }
  }

  async read({ roomId, limit, before, after }: ReadRequest): Promise<HistoryPage> {
    const entries = this.#rooms.get(roomId)?.entries ?? []
    const cursor = before ?? after
    const at = entries.findIndex(({ id }) => id === cursor)
    const cursorFound = cursor === undefined || at >= 0
    if (before !== undefined && !cursorFound) return { messages: [], more: false, cursorFound }
    const oldestMs = this.#now() - this.#retention.retentionMs
    const range = before === undefined ? entries.slice(at + 1) : entries.slice(0, at)
    const messages = range.flatMap(({ message, atMs }) => (message && atMs > oldestMs ? [message] : []))
    const page =
      before === undefined && after !== undefined ? messages.slice(0, limit) : messages.slice(-limit)
    return { messages: page, more: messages.length > limit, cursorFound }
  }

  async delete(roomId: string, messageId: string): Promise<DeleteResult> {
    const entry = this.#rooms.get(roomId)?.entries.find(({ id }) => id === messageId)
    if (!entry) return 'not_found'
    if (!entry.message) return 'already_deleted'
    entry.message = undefined
    return 'deleted'
  }

  async trim(roomId: string): Promise<number> {
    const room = this.#rooms.get(roomId)
    if (!room) return 0
    const removed = this.#trim(room, this.#now())
    if (room.entries.length === 0 && room.sent.size === 0) this.#rooms.delete(roomId)
    return removed
  }

  #trim(room: Room, nowMs: number): number {
    const { maxMessages, retentionMs } = this.#retention
    const firstFresh = room.entries.findIndex(({ atMs }) => atMs > nowMs - retentionMs)
    const tooOld = firstFresh < 0 ? room.entries.length : firstFresh
    const dropped = room.entries.splice(0, Math.max(tooOld, room.entries.length - maxMessages))
    // Insertion order is order of expiry, so the first that is still good ends the search.
    for (const [key, { untilMs }] of room.sent) {
      if (untilMs > nowMs && room.sent.size <= maxMessages) break
      room.sent.delete(key)
    }
    return dropped.filter(({ message }) => message).length
  }

  #evict(): void {
    for (const roomId of this.#rooms.keys()) {
      if (this.#rooms.size <= this.#maxRooms) return
      this.#rooms.delete(roomId)
    }
  }
}
