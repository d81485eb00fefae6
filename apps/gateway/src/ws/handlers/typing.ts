/** Who is writing in a table's chat (feature `typing`): an ephemeral event, in no log, that may be missed. */
import type { Chat } from '@gw/chat'
import type { SetTyping, Typing } from '@gw/protocol'
import type { Broker, ChannelMessage } from '@gw/pubsub'
import { z } from 'zod'
import { GatewayError } from '../../errors.ts'
import type { Channels } from '../../services/channels.ts'
import type { ClientSession, Reply } from '../client-session.ts'

export interface TypingHandlersOptions {
  readonly broker: Pick<Broker, 'publish'>
  readonly chat: Pick<Chat, 'getHistory' | 'checkMuted'>
  readonly channels: Channels
}

export interface TypingHandlers {
  /** With a chat's subscription, for those who asked for the feature. */
  join(tableId: string, session: ClientSession): Promise<void>
  leave(tableId: string, session: ClientSession): void
  /** Refused with `forbidden` to who could not write there. */
  set(message: SetTyping, session: ClientSession): Promise<Reply>
}

const typingChannel = (tableId: string): string => `typing:${tableId}`

const writers = new WeakMap<ChannelMessage, string>()
const typing = z.object({ userId: z.string() })

/** Parsed once for all receivers. */
function writerOf(message: ChannelMessage): string {
  const known = writers.get(message) ?? typing.parse(JSON.parse(message.data.toString())).userId
  writers.set(message, known)
  return known
}

export function createTypingHandlers({ broker, chat, channels }: TypingHandlersOptions): TypingHandlers {
  return {
    async join(tableId, session) {
      if (!session.features.has('typing')) return
      const joined = await channels.join(session.connection, typingChannel(tableId), {
        hasPosition: false,
        accepts: (message) => writerOf(message) !== session.userId,
      })
      joined.start()
    },
    leave(tableId, session) {
      channels.leave(session.connectionId, typingChannel(tableId))
    },
    async set({ tableId }, session) {
      const member = { roomId: tableId, userId: session.userId }
      const page = await chat.getHistory({ ...member, limit: 1 })
      if (!page.ok && page.reason === 'unavailable') throw new GatewayError('unavailable')
      if (!page.ok || (await chat.checkMuted(member)) === 'muted') throw new GatewayError('forbidden')
      const message: Typing = { type: 'Typing', tableId, userId: session.userId }
      await broker.publish(typingChannel(tableId), JSON.stringify(message)).catch((error: unknown) => {
        throw new GatewayError('unavailable', undefined, { cause: error })
      })
      return undefined
    },
  }
}
