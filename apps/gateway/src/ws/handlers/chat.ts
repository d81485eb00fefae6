/** Chat over the socket: history, then live lines; sending goes through `@gw/chat`'s rules. */
import type { Chat, ChatRefusal } from '@gw/chat'
import {
  type Ack,
  chatChannel,
  type ChatEntry,
  type ChatError,
  type ChatErrorReason,
  type ChatSend,
  type ChatSubscribed,
  type DeleteChatMessage,
  type GetChatHistory,
  limits,
  type Position,
  type SubscribeChat,
  type UnsubscribeChat,
} from '@gw/protocol'
import { GatewayError } from '../../errors.ts'
import type { Backends } from '../../grpc/backends.ts'
import type { Channels, Joined } from '../../services/channels.ts'
import type { ClientSession, Reply } from '../client-session.ts'
import { createLateAnswers, waitsFor } from '../late-answers.ts'
import type { ResumeChannel } from '../restore.ts'
import type { TypingHandlers } from './typing.ts'

export interface ChatHandlersOptions {
  readonly chat: Chat
  readonly channels: Channels
  readonly game: Pick<Backends['game'], 'getTable'>
  readonly typing: TypingHandlers
  /** History behind a `Reset` failed: the client can still ask for it. Or that of a subscription of today's client. */
  readonly onError: (error: unknown, session: ClientSession) => void
}

export interface ChatHandlers {
  subscribe(message: SubscribeChat, session: ClientSession): Promise<Reply>
  readonly resume: ResumeChannel
  unsubscribe(message: UnsubscribeChat, session: ClientSession): Reply
  /** Null when the line itself is the answer, for who did not ask for an `Ack`. */
  send(message: ChatSend, session: ClientSession): Promise<Ack | ChatError | null>
  history(message: GetChatHistory, session: ClientSession): Promise<Reply>
  /** For the table's owner, and for who has the role `admin`. */
  remove(message: DeleteChatMessage, session: ClientSession): Promise<Reply>
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

export function createChatHandlers({
  chat,
  channels,
  game,
  typing,
  onError,
}: ChatHandlersOptions): ChatHandlers {
  const late = createLateAnswers(onError)

  /** Undefined for who isn't at the table: they hear what is said from now on, as ever, and read nothing from before. */
  async function historyFor(
    tableId: string,
    session: ClientSession,
    limit: number = limits.maxHistoryPage,
  ): Promise<readonly ChatEntry[] | undefined> {
    const page = await chat.getHistory({ roomId: tableId, userId: session.userId, limit })
    if (page.ok) return page.messages
    if (page.reason === 'not_member') return undefined
    throw new GatewayError('unavailable')
  }

  /** For the answer to a subscription: today's client gets one without a history rather than an `Error`. */
  async function firstHistoryFor(
    tableId: string,
    session: ClientSession,
    limit?: number,
  ): Promise<readonly ChatEntry[] | undefined> {
    try {
      return await historyFor(tableId, session, limit)
    } catch (error) {
      if (!waitsFor(error, session)) throw error
      onError(error, session)
      return undefined
    }
  }

  /** What a starting subscription has shown: the ids of the history's lines. */
  interface View {
    shown: ReadonlySet<string>
  }

  interface Entered {
    readonly subscription: Joined
    readonly history: readonly ChatEntry[]
    readonly start: () => void
  }

  // A scope of its own: what these two keep alive, they keep as long as the subscription.
  function join(
    tableId: string,
    session: ClientSession,
    { view, since }: { readonly view: View; readonly since?: Position },
  ): Promise<Joined> {
    return channels.join(session.connection, chatChannel(tableId), {
      ...(since && { since }),
      // A line that was stored before the history was read, and published after, is in the history already.
      acceptsLive: false,
      accepts: ({ data }) => view.shown === none || session.features.size > 0 || !isShown(data, view.shown),
      onReset(position) {
        historyFor(tableId, session).then(
          (history = []) => session.send({ type: 'ChatSubscribed', tableId, history, ...position }),
          (error: unknown) => onError(error, session),
        )
      },
    })
  }

  async function enter(
    tableId: string,
    session: ClientSession,
    { since, read }: { readonly since: Position | undefined; readonly read: typeof historyFor },
  ): Promise<Entered> {
    const channel = chatChannel(tableId)
    // What was said since then is history too: the log must not tell a stranger what the history would not.
    const mayRead = since === undefined || (await read(tableId, session, 1)) !== undefined
    const view: View = { shown: none }
    const subscription = await join(tableId, session, { view, ...(since && mayRead && { since }) })
    try {
      await typing.join(tableId, session)
      const history = subscription.recovered ? [] : ((await read(tableId, session)) ?? [])
      if (history.length > 0) view.shown = new Set(history.map(({ id }) => id))
      return {
        subscription,
        history,
        start() {
          subscription.start()
          view.shown = none
        },
      }
    } catch (error) {
      if (subscription.isNew) channels.leave(session.connectionId, channel)
      else subscription.start()
      throw error
    }
  }

  async function subscribe(
    { tableId, since, id }: SubscribeChat,
    session: ClientSession,
    isWanted: () => boolean = () => true,
  ): Promise<void> {
    const { subscription, history, start } = await enter(tableId, session, { since, read: firstHistoryFor })
    // Left meanwhile.
    if (!isWanted()) return
    const reply: ChatSubscribed = {
      type: 'ChatSubscribed',
      tableId,
      history,
      ...subscription.position,
      ...(since && { recovered: subscription.recovered }),
      ...(id !== undefined && { id }),
    }
    session.send(reply)
    start()
  }

  return {
    async subscribe(message, session) {
      const channel = chatChannel(message.tableId)
      await late.subscribe(session, channel, (isWanted) => subscribe(message, session, isWanted))
      return 'answered'
    },

    async resume(tableId, since, session) {
      late.end(session, chatChannel(tableId))
      const { subscription, history, start } = await enter(tableId, session, { since, read: historyFor })
      const { position, recovered } = subscription
      const { epoch, seq } = position
      return {
        result: { recovered, epoch, seq },
        follow() {
          if (!recovered) session.send({ type: 'ChatSubscribed', tableId, history, ...position })
          start()
        },
      }
    },

    unsubscribe({ tableId }, session) {
      late.end(session, chatChannel(tableId))
      channels.leave(session.connectionId, chatChannel(tableId))
      typing.leave(tableId, session)
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
      if (id === undefined || !session.features.has('acks')) return null
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

    async remove({ tableId, messageId, id }, session) {
      const { ownerId } = await game.getTable({ tableId })
      if (ownerId !== session.userId && !session.identity.roles.includes('admin'))
        throw new GatewayError('forbidden')
      const result = await chat.deleteMessage(tableId, messageId)
      if (!result.ok) throw new GatewayError(result.reason)
      if (id === undefined || !session.features.has('acks')) return 'answered'
      const { position, duplicate } = result
      return { type: 'Ack', id, channel: chatChannel(tableId), ...position, duplicate }
    },
  }
}

const none: ReadonlySet<string> = new Set()

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
