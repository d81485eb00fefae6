/** Chat over the socket: history, then live lines; sending goes through `@gw/chat`'s rules. */
import type { Chat, ChatRefusal } from '@gw/chat'
import {
  chatChannel,
  type ChatEntry,
  type ChatErrorReason,
  type ChatSend,
  type ChatSubscribed,
  type GetChatHistory,
  limits,
  type SubscribeChat,
  type UnsubscribeChat,
} from '@gw/protocol'
import { GatewayError } from '../../errors.ts'
import type { Channels } from '../../services/channels.ts'
import type { ClientSession, Reply } from '../client-session.ts'

export interface ChatHandlersOptions {
  readonly chat: Chat
  readonly channels: Channels
}

export interface ChatHandlers {
  subscribe(message: SubscribeChat, session: ClientSession): Promise<Reply>
  unsubscribe(message: UnsubscribeChat, session: ClientSession): Reply
  send(message: ChatSend, session: ClientSession): Promise<Reply>
  history(message: GetChatHistory, session: ClientSession): Promise<Reply>
}

/** Chat's words as the contract has them. A reused message id for another text is the sender's mistake, not a reason to show. */
function reasonOf(refusal: ChatRefusal): ChatErrorReason {
  switch (refusal) {
    case 'not_member':
      return 'not_seated'
    case 'conflict':
      throw new GatewayError('conflict', 'The message id was used for another text')
    case 'empty_message':
    case 'message_too_long':
    case 'rate_limited':
    case 'muted':
    case 'blocked':
    case 'unavailable':
      return refusal
  }
}

export function createChatHandlers({ chat, channels }: ChatHandlersOptions): ChatHandlers {
  /** Who isn't at the table hears what is said from now on, as ever, but reads nothing from before. */
  async function historyFor(tableId: string, session: ClientSession): Promise<readonly ChatEntry[]> {
    const page = await chat.getHistory({
      roomId: tableId,
      userId: session.userId,
      limit: limits.maxHistoryPage,
    })
    if (page.ok) return page.messages
    if (page.reason === 'not_member') return []
    throw new GatewayError('unavailable')
  }

  return {
    async subscribe(message, session) {
      const { tableId } = message
      const channel = chatChannel(tableId)
      const shown = new Set<string>()
      const subscription = await channels.join(session.connection, channel, {
        ...(message.since && { since: message.since }),
        // A line that was stored before the history was read, and published after, is in the history already.
        accepts: (update) => shown.size === 0 || session.features.size > 0 || !isShown(update.data, shown),
      })
      try {
        const history = subscription.recovered ? [] : await historyFor(tableId, session)
        for (const { id } of history) shown.add(id)
        const reply: ChatSubscribed = {
          type: 'ChatSubscribed',
          tableId,
          history,
          ...subscription.position,
          ...(message.since && { recovered: subscription.recovered }),
          ...(message.id !== undefined && { id: message.id }),
        }
        session.send(reply)
        subscription.start()
        shown.clear()
        return 'answered'
      } catch (error) {
        if (subscription.isNew) channels.leave(session.connectionId, channel)
        else subscription.start()
        throw error
      }
    },

    unsubscribe({ tableId }, session) {
      channels.leave(session.connectionId, chatChannel(tableId))
      return undefined
    },

    async send({ tableId, message: text, id }, session) {
      const result = await chat.sendMessage({
        roomId: tableId,
        userId: session.userId,
        text,
        ...(id !== undefined && { clientMessageId: id }),
      })
      if (!result.ok) {
        const { retryAfterMs } = result
        return {
          type: 'ChatError',
          tableId,
          reason: reasonOf(result.reason),
          ...(retryAfterMs !== undefined && { retryAfterMs }),
        }
      }
      if (id === undefined || !session.features.has('acks')) return 'answered'
      const { message, position, duplicate } = result
      return { type: 'Ack', id, messageId: message.id, channel: chatChannel(tableId), ...position, duplicate }
    },

    async history({ tableId, before, after, limit = 50 }, session) {
      const page = await chat.getHistory({
        roomId: tableId,
        userId: session.userId,
        limit,
        ...(before !== undefined && { before }),
        ...(after !== undefined && { after }),
      })
      if (page.ok) return { type: 'ChatHistory', tableId, history: page.messages, more: page.more }
      if (page.reason === 'not_member') throw new GatewayError('forbidden', 'not_seated')
      throw new GatewayError('unavailable')
    },
  }
}

function isShown(data: Buffer, shown: ReadonlySet<string>): boolean {
  const update: unknown = JSON.parse(data.toString())
  if (typeof update !== 'object' || update === null || !('message' in update)) return false
  const { message } = update
  return (
    typeof message === 'object' &&
    message !== null &&
    'id' in message &&
    typeof message.id === 'string' &&
    shown.has(message.id)
  )
}
