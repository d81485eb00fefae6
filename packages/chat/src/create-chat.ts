import type { Position } from '@gw/pubsub'
import { ChatChecks, type Invalidation, type MuteState } from './chat-checks.ts'
import { requireCounts } from './chat-error.ts'
import type { ChatMessage } from './chat-message.ts'
import {
  type ChatEvent,
  type ChatOptions,
  type ChatRefusal,
  type ChatUpdate,
  limitDefaults,
  type Member,
} from './chat-options.ts'
import type { HistoryPage, SaveResult } from './chat-store.ts'

/** A message to send. With `clientMessageId` (of the user, in the room) a retry is the same message. */
export interface SendRequest extends Member {
  readonly text: string
  readonly clientMessageId?: string
}

/** Refused. `retryable`: the same request may succeed later, and cannot lead to a second message. */
export interface Refused<R extends ChatRefusal = ChatRefusal> {
  readonly ok: false
  readonly reason: R
  readonly retryable: boolean
  readonly retryAfterMs?: number
}

/**
 * Accepted: stored, published at `position`. `duplicate`: an earlier attempt had stored it; when it was deleted since,
 * `position` is that of its deletion.
 */
export type SendResult =
  | {
      readonly ok: true
      readonly message: ChatMessage
      readonly position: Position
      readonly duplicate: boolean
    }
  | Refused

/** A page to read. With `userId` only for members. `limit` is cut to the limits of the chat. */
export interface HistoryRequest {
  readonly roomId: string
  readonly userId?: string
  readonly limit?: number
  readonly before?: string
  readonly after?: string
}

export type HistoryResult = ({ readonly ok: true } & HistoryPage) | Refused<'not_member' | 'unavailable'>

export type DeleteMessageResult =
  | { readonly ok: true; readonly position: Position; readonly duplicate: boolean }
  | { readonly ok: false; readonly reason: 'not_found' | 'unavailable'; readonly retryable: boolean }

/** Rooms with rules and history. Refusals and failures are return values; nothing here rejects. */
export interface Chat {
  /** trim → empty → too long → rate → member → muted → filter → nickname → store → publish → accepted. */
  sendMessage(request: SendRequest): Promise<SendResult>
  getHistory(request: HistoryRequest): Promise<HistoryResult>
  /** `unknown` when it could not be asked; what a send does then is `onMuteError`. */
  checkMuted(member: Member): Promise<MuteState>
  /** Stores without rules and without publishing, e.g. a system line. Undefined when the store failed. */
  saveMessage(roomId: string, message: ChatMessage): Promise<SaveResult | undefined>
  /** How many messages went; undefined when the store failed. */
  trimHistory(roomId: string): Promise<number | undefined>
  /** Removes a message and publishes that. Whether the caller may is the caller's question. Safe to retry. */
  deleteMessage(roomId: string, messageId: string): Promise<DeleteMessageResult>
  /** Forgets cached answers, after a join, leave, mute or a new nickname. */
  invalidate(of: Invalidation): void
}

/** Builds a chat. Throws `invalid_options`. */
export function createChat(options: ChatOptions): Chat {
  const { store, publisher, filter, checkRate, onMuteError = 'deny', now = Date.now } = options
  const { newId = () => crypto.randomUUID(), encode = JSON.stringify } = options
  const { channelOf = (roomId: string) => `chat:${roomId}` } = options
  const limits = { ...limitDefaults, ...options.limits }
  requireCounts({ ...limits })
  const report = (event: ChatEvent): void => {
    try {
      options.onEvent?.(event)
    } catch {
      // A broken observer must not turn an accepted message into a refused one.
    }
  }
  const checks = new ChatChecks({ ...options, ...limits, onMuteError, now, report })

  async function attempt<T>(
    stage: 'store' | 'publish',
    roomId: string,
    run: () => Promise<T>,
  ): Promise<T | undefined> {
    try {
      return await checks.withDeadline(run)
    } catch (error) {
      report({ type: 'backend_failed', stage, roomId, error })
      return undefined
    }
  }

  function publish(
    update: ChatUpdate,
    idempotencyKey: string,
  ): ReturnType<ChatOptions['publisher']['publish']> {
    return publisher.publish(channelOf(update.roomId), encode(update), { idempotencyKey })
  }

  async function refusalOf(member: Member, text: string): Promise<Refused | undefined> {
    if (!isVisible(text)) return refuse('empty_message')
    if (text.length > limits.maxLength) return refuse('message_too_long')
    if (checkRate) {
      const rate = await checks.once('rate', member, () => checkRate(member))
      if (!rate) return refuse('unavailable')
      if (!rate.allowed) return refuse('rate_limited', rate.retryAfterMs)
    }
    const isMember = await checks.isMember(member)
    if (!isMember) return refuse(isMember === undefined ? 'unavailable' : 'not_member')
    const mute = await checks.muteState(member)
    if (mute === 'muted') return refuse('muted')
    if (mute === 'unknown' && onMuteError === 'deny') return refuse('unavailable')
    return undefined
  }

  async function filtered(member: Member, text: string): Promise<string | Refused> {
    if (!filter) return text
    const { roomId, userId } = member
    const judged = await checks.once('filter', member, () => filter({ roomId, userId, text }))
    if (!judged) return refuse('unavailable')
    const passed = judged.allowed ? (judged.text ?? text) : ''
    return isVisible(passed) && passed.length <= limits.maxLength ? passed : refuse('blocked')
  }

  async function accept(request: SendRequest, text: string): Promise<SendResult> {
    const { roomId, userId, clientMessageId } = request
    const username = await checks.nickname(request)
    const message = { id: newId(), userId, username, text, ts: new Date(now()).toISOString() }
    const key =
      clientMessageId === undefined ? {} : { idempotencyKey: JSON.stringify([userId, clientMessageId]) }
    const saved = await attempt('store', roomId, () => store.save({ roomId, message, ...key }))
    // Without a client's id nobody can tell a retry from a second message, so a doubtful outcome must not be retried.
    const doubtful: Refused = { ok: false, reason: 'unavailable', retryable: clientMessageId !== undefined }
    if (!saved) return doubtful
    if (saved.duplicate && saved.message.text !== text) return refuse('conflict')
    const { id } = saved.message
    // Also after a duplicate: the first attempt may have died between store and publish. What was deleted meanwhile must
    // not go live: instead its deletion is published, once, whoever asks.
    const update: ChatUpdate = saved.gone
      ? { type: 'deleted', roomId, messageId: id }
      : { type: 'message', roomId, message: saved.message }
    const published = await attempt('publish', roomId, () => publish(update, `${update.type}:${id}`))
    if (!published) return doubtful
    const { epoch, seq } = published
    return { ok: true, message: saved.message, position: { epoch, seq }, duplicate: saved.duplicate }
  }

  async function send(request: SendRequest): Promise<SendResult> {
    const { roomId, userId } = request
    const text = normalise(request.text)
    const refused = await refusalOf({ roomId, userId }, text)
    if (refused) return refused
    const passed = await filtered({ roomId, userId }, text)
    return typeof passed === 'string' ? await accept(request, passed) : passed
  }

  return {
    async sendMessage(request) {
      const { roomId, userId } = request
      const result = await send(request)
      if (result.ok) report({ type: 'accepted', roomId, userId, duplicate: result.duplicate })
      else report({ type: 'refused', roomId, userId, reason: result.reason })
      return result
    },

    async getHistory({ roomId, userId, limit = limits.pageSize, ...cursor }) {
      const isMember = userId === undefined || (await checks.isMember({ roomId, userId }))
      if (isMember === undefined) return { ok: false, reason: 'unavailable', retryable: true }
      if (!isMember) return { ok: false, reason: 'not_member', retryable: false }
      const size = Math.max(1, Math.min(Math.trunc(limit) || 1, limits.maxPageSize))
      const page = await attempt('store', roomId, () => store.read({ roomId, limit: size, ...cursor }))
      return page ? { ok: true, ...page } : { ok: false, reason: 'unavailable', retryable: true }
    },

    checkMuted: (member) => checks.muteState(member),

    saveMessage: (roomId, message) => attempt('store', roomId, () => store.save({ roomId, message })),

    trimHistory: (roomId) => attempt('store', roomId, () => store.trim(roomId)),

    async deleteMessage(roomId, messageId) {
      const deleted = await attempt('store', roomId, () => store.delete(roomId, messageId))
      if (deleted === undefined) return { ok: false, reason: 'unavailable', retryable: true }
      if (deleted === 'not_found') return { ok: false, reason: 'not_found', retryable: false }
      const update: ChatUpdate = { type: 'deleted', roomId, messageId }
      const published = await attempt('publish', roomId, () => publish(update, `deleted:${messageId}`))
      if (!published) return { ok: false, reason: 'unavailable', retryable: true }
      const { epoch, seq } = published
      return { ok: true, position: { epoch, seq }, duplicate: deleted === 'already_deleted' }
    },

    invalidate: (of) => checks.invalidate(of),
  }
}

function refuse(reason: ChatRefusal, retryAfterMs?: number): Refused {
  const retryable = reason === 'rate_limited' || reason === 'unavailable'
  return { ok: false, reason, retryable, ...(retryAfterMs !== undefined && { retryAfterMs }) }
}

/** Half a surrogate pair cannot be encoded as UTF-8: without this, the stored and the delivered text would differ. */
function normalise(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\uFFFD').trim()
}

/** False for a text of white space, control and format characters only (zero-width spaces too). */
function isVisible(text: string): boolean {
  return /[^\s\p{Cc}\p{Cf}]/u.test(text)
}
