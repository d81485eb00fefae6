/**
 * The channels that every connection has: its user's own (`user:ID`) and everybody's (`all`). What is published there, by a
 * backend or by another instance, reaches today's clients too: the type of the message tells each whether it is of use.
 *
 *   Welcome ▶ join (again while Redis is away) ▶ Subscribed, to who counts positions ▶ live
 */
import type { Connection } from '@gw/connections'
import { allChannel, type Position, type Subscribed, userChannel } from '@gw/protocol'
import type { Channels } from '../services/channels.ts'
import type { ClientSession } from './client-session.ts'
import { keepTrying } from './keep-trying.ts'
import type { ResumeChannel } from './restore.ts'

export interface StandingChannelsOptions {
  readonly channels: Channels
  readonly onError: (error: unknown, session: ClientSession) => void
}

export interface StandingChannels {
  /** Joins those that the connection lacks, or was not told of; returns at once. `resume`: from where. */
  readonly start: (session: ClientSession, resume: Readonly<Record<string, Position>>) => void
  readonly resume: ResumeChannel
}

export function createStandingChannels({ channels, onError }: StandingChannelsOptions): StandingChannels {
  /** For each connection: the channels that it was told the position of. */
  const told = new WeakMap<Connection, Set<string>>()

  function toldOf(connection: Connection): Set<string> {
    const known = told.get(connection) ?? new Set()
    told.set(connection, known)
    return known
  }

  async function join(session: ClientSession, channel: string, since: Position | undefined): Promise<void> {
    const joined = await channels.join(session.connection, channel, since ? { since } : {})
    const { epoch, seq } = joined.position
    if (session.features.size > 0) {
      const message: Subscribed = {
        type: 'Subscribed',
        channel,
        epoch,
        seq,
        ...(since && { recovered: joined.recovered }),
      }
      session.send(message)
      toldOf(session.connection).add(channel)
    }
    joined.start()
  }

  return {
    start(session, resume) {
      const { connection, connectionId } = session
      for (const channel of [userChannel(session.userId), allChannel]) {
        const has = channels.has(connectionId, channel)
        if (has && (session.features.size === 0 || toldOf(connection).has(channel))) continue
        void keepTrying({
          attempt: () => join(session, channel, resume[channel]),
          isWanted: () => connection.state === 'open',
          onError: (error) => onError(error, session),
        })
      }
    },
    async resume(channel, since, session) {
      const joined = await channels.join(session.connection, channel, { since })
      const { epoch, seq } = joined.position
      toldOf(session.connection).add(channel)
      return { result: { recovered: joined.recovered, epoch, seq }, follow: () => joined.start() }
    },
  }
}
