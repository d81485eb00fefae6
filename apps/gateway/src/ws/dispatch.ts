/** From a message's type to its handler, behind the limits. */
import type { ClientMessage, Feature } from '@gw/protocol'
import { GatewayError } from '../errors.ts'
import type { TableAccess, TablePurpose } from '../services/table-access.ts'
import type { ActionOrder } from './action-order.ts'
import type { Applied, ApplyOnce, OnceRequest } from './apply-once.ts'
import type { ClientSession, Reply } from './client-session.ts'
import type { ChatHandlers } from './handlers/chat.ts'
import type { LobbyHandlers } from './handlers/lobby.ts'
import type { PresenceHandlers } from './handlers/presence.ts'
import type { TableHandlers } from './handlers/table.ts'
import type { TypingHandlers } from './handlers/typing.ts'

/** Anything but Authenticate, which the session handles itself. */
export type Request = Exclude<ClientMessage, { readonly type: 'Authenticate' }>

/** Resolves to undefined when the message may go on, else to the time to wait. `invalid` is what no schema knows. */
export type Limit = (
  type: ClientMessage['type'] | 'invalid',
  session: ClientSession,
) => Promise<{ readonly retryAfterMs: number } | undefined>

export type Dispatch = (message: Request, session: ClientSession) => Promise<Reply>

export interface DispatchOptions {
  readonly table: TableHandlers
  readonly lobby: LobbyHandlers
  readonly chat: ChatHandlers
  readonly typing: TypingHandlers
  readonly presence: PresenceHandlers
  readonly access: TableAccess
  readonly limit: Limit
  readonly once: ApplyOnce
  readonly actionOrder: ActionOrder
}

/** What a message wants of its table, when the rule of access is asked about it: whoever is in may act and leave. */
function purposeOf({ type }: Request): TablePurpose | undefined {
  switch (type) {
    case 'SubscribeTable':
    case 'ResyncTable':
      return 'watch'
    case 'JoinSeat':
      return 'play'
    case 'SubscribeChat':
    case 'ChatSend':
    case 'GetChatHistory':
    case 'SetTyping':
      return 'chat'
    default:
      return undefined
  }
}

/** The contract's own answers where it has them, else an Error. */
function limited(message: Request, retryAfterMs: number): Reply {
  if (message.type === 'Action')
    return { type: 'ActionResult', tableId: message.tableId, accepted: false, reason: 'rate_limited' }
  if (message.type === 'ChatSend')
    return { type: 'ChatError', tableId: message.tableId, reason: 'rate_limited', retryAfterMs }
  throw new GatewayError('rate_limited', undefined, { retryAfterMs })
}

/** The feature that a message belongs to. */
function featureOf({ type }: Request): Feature | undefined {
  if (type === 'SetTyping') return 'typing'
  return type === 'SubscribePresence' || type === 'UnsubscribePresence' || type === 'SetAway'
    ? 'presence'
    : undefined
}

/** A repeat is marked where its answer is an `Ack`. */
function replyOf({ id }: OnceRequest, session: ClientSession, { answer, duplicate }: Applied): Reply {
  if (answer?.type === 'Ack') return duplicate ? { ...answer, duplicate } : answer
  if (answer !== null) return answer
  return duplicate && id !== undefined && session.features.has('acks')
    ? { type: 'Ack', id, duplicate }
    : undefined
}

export function createDispatch(handlers: DispatchOptions): Dispatch {
  const { table, lobby, chat, typing, presence, access, limit, once, actionOrder } = handlers

  /** Undefined when the user may; a subscription that the rule no longer allows ends. */
  async function refusalOf(message: Request, session: ClientSession): Promise<Reply> {
    const purpose = purposeOf(message)
    if (purpose === undefined || !('tableId' in message)) return undefined
    const { tableId } = message
    try {
      await access(tableId, session.identity, purpose)
      return undefined
    } catch (error) {
      if (!(error instanceof GatewayError) || error.code !== 'forbidden') throw error
      if (purpose === 'watch') table.unsubscribe({ type: 'UnsubscribeTable', tableId }, session)
      if (purpose === 'chat') chat.unsubscribe({ type: 'UnsubscribeChat', tableId }, session)
      if (message.type === 'ChatSend') return { type: 'ChatError', tableId, reason: 'not_seated' }
      throw error
    }
  }

  async function handle(message: Request, session: ClientSession): Promise<Reply> {
    switch (message.type) {
      case 'SubscribeTable':
      case 'ResyncTable':
        return table.subscribe(message, session)
      case 'UnsubscribeTable':
        return table.unsubscribe(message, session)
      case 'JoinSeat':
        return replyOf(message, session, await once(message, session, () => table.joinSeat(message, session)))
      case 'LeaveTable':
        return replyOf(
          message,
          session,
          await once(message, session, () => table.leaveTable(message, session)),
        )
      case 'Action':
        return replyOf(
          message,
          session,
          await actionOrder(message, session, () =>
            once(message, session, () => table.act(message, session)),
          ),
        )
      case 'SubscribeChat':
        return chat.subscribe(message, session)
      case 'UnsubscribeChat':
        return chat.unsubscribe(message, session)
      case 'ChatSend':
        return replyOf(message, session, await once(message, session, () => chat.send(message, session)))
      case 'GetChatHistory':
        return chat.history(message, session)
      case 'SubscribeLobby':
        return lobby.subscribe(session, message.id)
      case 'UnsubscribeLobby':
        return lobby.unsubscribe(session)
      case 'Ping':
        return { type: 'Pong', at: new Date().toISOString() }
      case 'DeleteChatMessage':
        return chat.remove(message, session)
      case 'SetTyping':
        return typing.set(message, session)
      case 'SubscribePresence':
        return presence.subscribe(message, session)
      case 'UnsubscribePresence':
        return presence.unsubscribe(message, session)
      case 'SetAway':
        return presence.setAway(message, session)
    }
  }

  return async (message, session) => {
    const refusal = await limit(message.type, session)
    const feature = featureOf(message)
    if (!refusal && feature !== undefined && !session.features.has(feature))
      return {
        type: 'Error',
        code: 'feature_required',
        message: `Ask for the feature ${feature} in Authenticate`,
        retryable: false,
      }
    if (refusal) return limited(message, refusal.retryAfterMs)
    return (await refusalOf(message, session)) ?? handle(message, session)
  }
}
