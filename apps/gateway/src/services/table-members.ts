/** Who sits or watches at a table, and how they are called: what chat asks about its rooms. */
import type { ChatOptions, ChatUpdate } from '@gw/chat'
import type { ChatDeleted, ChatMessage } from '@gw/protocol'
import { GatewayError } from '../errors.ts'
import type { Backends } from '../grpc/backends.ts'
import type { Spectators } from './spectators.ts'

export interface TableMembersOptions {
  readonly backends: Pick<Backends, 'game' | 'player'>
  readonly spectators: Spectators
}

/** The hooks that connect chat rooms to tables. Failures reject; what they mean is chat's decision. */
export function createTableMembers({
  backends: { game, player },
  spectators,
}: TableMembersOptions): Pick<ChatOptions, 'isMember' | 'isMuted' | 'nicknameOf' | 'encode'> {
  async function hasPlace(tableId: string, userId: string): Promise<boolean> {
    const { state } = await game.getTableState({ tableId, userId })
    return [...(state?.seats ?? []), ...(state?.spectators ?? [])].some((place) => place.userId === userId)
  }

  return {
    async isMember({ roomId, userId }) {
      // Whoever has just subscribed is about to be a spectator.
      await spectators.settled(userId, roomId)
      try {
        return (await hasPlace(roomId, userId)) || (await spectators.enterAgain(userId, roomId))
      } catch (error) {
        // Nobody is a member of a table that isn't there.
        if (error instanceof GatewayError && error.code === 'not_found') return false
        throw error
      }
    },
    async isMuted({ roomId, userId }) {
      return (await game.isMuted({ tableId: roomId, userId })).isMuted
    },
    async nicknameOf(userId) {
      const { profile } = await player.getProfile({ userId })
      return profile?.username || profile?.nickname
    },
    encode(update: ChatUpdate) {
      const { roomId: tableId } = update
      const said: ChatMessage | ChatDeleted =
        update.type === 'message'
          ? { type: 'ChatMessage', tableId, message: update.message }
          : { type: 'ChatDeleted', tableId, messageId: update.messageId }
      return JSON.stringify(said)
    },
  }
}
