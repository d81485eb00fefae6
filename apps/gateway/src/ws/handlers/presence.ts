/** Presence over the socket (feature `presence`): a snapshot of the users asked for, then their changes. */
import type { Sessions } from '@gw/connections'
import {
  type Position,
  presenceChannel,
  type PresenceSnapshot,
  type SetAway,
  type SubscribePresence,
  type UnsubscribePresence,
} from '@gw/protocol'
import { LRUCache } from 'lru-cache'
import { GatewayError } from '../../errors.ts'
import type { Channels, Joined } from '../../services/channels.ts'
import type { ClientSession, Reply } from '../client-session.ts'
import { keepTrying } from '../keep-trying.ts'
import { shareRounds } from '../share-rounds.ts'
import type { ResumeChannel } from '../restore.ts'

export interface PresenceHandlersOptions {
  readonly sessions: Pick<Sessions, 'getStatus' | 'setAway'>
  readonly channels: Channels
  readonly onError: (error: unknown, session: ClientSession) => void
}

export interface PresenceHandlers {
  subscribe(message: SubscribePresence, session: ClientSession): Promise<Reply>
  unsubscribe(message: UnsubscribePresence, session: ClientSession): Reply
  setAway(message: SetAway, session: ClientSession): Reply
  readonly resume: ResumeChannel
}

export function createPresenceHandlers(options: PresenceHandlersOptions): PresenceHandlers {
  const { sessions, channels, onError } = options

  async function snapshot(userIds: readonly string[]): Promise<PresenceSnapshot> {
    try {
      const statuses = await sessions.getStatus(userIds)
      const users = userIds.map((userId) => [userId, statuses.get(userId) ?? 'offline'] as const)
      return { type: 'PresenceSnapshot', users: Object.fromEntries(users) }
    } catch (error) {
      throw new GatewayError('unavailable', undefined, { cause: error, retryAfterMs: 1000 })
    }
  }

  /** A reset hits all who watch a user at once: they share the question. */
  const asking = new LRUCache<string, () => Promise<PresenceSnapshot>>({ max: 10_000 })

  function sharedSnapshot(userId: string): Promise<PresenceSnapshot> {
    const ask = asking.get(userId) ?? shareRounds(() => snapshot([userId]))
    asking.set(userId, ask)
    return ask()
  }

  function join(session: ClientSession, userId: string, since?: Position): Promise<Joined> {
    const { connection } = session
    const channel = presenceChannel(userId)
    return channels.join(connection, channel, {
      ...(since && { since }),
      // What was missed is in no later change. Redis may be the reason, and still be away.
      onReset: () =>
        void keepTrying({
          attempt: async () => session.send(await sharedSnapshot(userId)),
          isWanted: () => connection.state === 'open' && channels.has(connection.id, channel),
          onError: (error) => onError(error, session),
        }),
    })
  }

  /** Ends what this call began; what the socket had before goes on. */
  function undo(joined: readonly Joined[], session: ClientSession): void {
    for (const { isNew, position, start } of joined)
      if (isNew) channels.leave(session.connectionId, position.channel)
      else start()
  }

  return {
    async subscribe({ userIds, id }, session) {
      const unique = [...new Set(userIds)]
      const results = await Promise.allSettled(unique.map((userId) => join(session, userId)))
      const joined = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
      try {
        const failed = results.find((result) => result.status === 'rejected')
        if (failed) throw failed.reason
        // Asked after the joins: a change between the two comes behind the snapshot.
        session.send({ ...(await snapshot(unique)), ...(id !== undefined && { id }) })
      } catch (error) {
        undo(joined, session)
        throw error
      }
      for (const { start } of joined) start()
      return 'answered'
    },

    unsubscribe({ userIds }, session) {
      for (const userId of userIds) channels.leave(session.connectionId, presenceChannel(userId))
      return undefined
    },

    setAway({ away }, session) {
      sessions.setAway(session.connectionId, away)
      return undefined
    },

    async resume(userId, since, session) {
      if (!session.features.has('presence')) throw new GatewayError('forbidden')
      const joined = await join(session, userId, since)
      const { epoch, seq } = joined.position
      try {
        const users = joined.recovered ? undefined : await snapshot([userId])
        return {
          result: { recovered: joined.recovered, epoch, seq },
          follow() {
            if (users) session.send(users)
            joined.start()
          },
        }
      } catch (error) {
        undo([joined], session)
        throw error
      }
    },
  }
}
