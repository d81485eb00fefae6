/** From a message's type to its handler, behind the limits. */
import type { ClientMessage } from '@gw/protocol'
import { GatewayError } from '../errors.ts'
import type { ClientSession, Reply } from './client-session.ts'
import type { ChatHandlers } from './handlers/chat.ts'
import type { LobbyHandlers } from './handlers/lobby.ts'
import type { TableHandlers } from './handlers/table.ts'

/** Anything but Authenticate, which the session handles itself. */
export type Request = Exclude<ClientMessage, { readonly type: 'Authenticate' }>

/** The kinds of messages that are limited apart. */
export const limitKinds = ['action', 'chat', 'other'] as const
export type LimitKind = (typeof limitKinds)[number]

/** Resolves to undefined when the message may go on, else to the time to wait. */
export type Limit = (
  kind: LimitKind,
  session: ClientSession,
) => Promise<{ readonly retryAfterMs: number } | undefined>

export type Dispatch = (message: Request, session: ClientSession) => Promise<Reply>

export interface DispatchOptions {
  readonly table: TableHandlers
  readonly lobby: LobbyHandlers
  readonly chat: ChatHandlers
  readonly limit: Limit
}

function limitKind(message: Request): LimitKind {
  if (message.type === 'Action') return 'action'
  return message.type === 'ChatSend' ? 'chat' : 'other'
}

/** The contract's own answers where it has them, else an Error. */
function limited(message: Request, retryAfterMs: number): Reply {
  if (message.type === 'Action')
    return { type: 'ActionResult', tableId: message.tableId, accepted: false, reason: 'rate_limited' }
  if (message.type === 'ChatSend')
    return { type: 'ChatError', tableId: message.tableId, reason: 'rate_limited', retryAfterMs }
  throw new GatewayError('rate_limited', undefined, { retryAfterMs })
}

export function createDispatch({ table, lobby, chat, limit }: DispatchOptions): Dispatch {
  async function handle(message: Request, session: ClientSession): Promise<Reply> {
    switch (message.type) {
      case 'SubscribeTable':
      case 'ResyncTable':
        return table.subscribe(message, session)
      case 'UnsubscribeTable':
        return table.unsubscribe(message, session)
      case 'JoinSeat':
        return table.joinSeat(message, session)
      case 'LeaveTable':
        return table.leaveTable(message, session)
      case 'Action':
        return table.act(message, session)
      case 'SubscribeChat':
        return chat.subscribe(message, session)
      case 'UnsubscribeChat':
        return chat.unsubscribe(message, session)
      case 'ChatSend':
        return chat.send(message, session)
      case 'GetChatHistory':
        return chat.history(message, session)
      case 'SubscribeLobby':
        return lobby.subscribe(session, message.id)
      case 'UnsubscribeLobby':
        return lobby.unsubscribe(session)
      case 'Ping':
        return { type: 'Pong', at: new Date().toISOString() }
      case 'DeleteChatMessage':
      case 'SetTyping':
      case 'SubscribePresence':
      case 'UnsubscribePresence':
      case 'SetAway':
        throw new GatewayError('unimplemented')
    }
  }

  return async (message, session) => {
    const refusal = await limit(limitKind(message), session)
    return refusal ? limited(message, refusal.retryAfterMs) : handle(message, session)
  }
}
