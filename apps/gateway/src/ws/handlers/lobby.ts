/** The lobby over the socket: a snapshot, then every published change. Each connection starts subscribed. */
import type { Connection } from '@gw/connections'
import { lobbyChannel, type LobbyTablesUpdated, type Position } from '@gw/protocol'
import type { Backends } from '../../grpc/backends.ts'
import type { Channels, Joined } from '../../services/channels.ts'
import { summaryView } from '../../services/table-view.ts'
import type { ClientSession, Reply } from '../client-session.ts'
import { keepTrying } from '../keep-trying.ts'
import type { ResumeChannel } from '../restore.ts'
import { shareRounds } from '../share-rounds.ts'

export interface LobbyHandlersOptions {
  readonly game: Backends['game']
  readonly channels: Channels
  readonly onError: (error: unknown, session: ClientSession) => void
}

export interface LobbyHandlers {
  /** The lobby that every connection starts with, once a connection; returns at once. */
  readonly start: (session: ClientSession) => void
  subscribe(session: ClientSession, id?: string): Promise<Reply>
  readonly resume: ResumeChannel
  unsubscribe(session: ClientSession): Reply
}

export function createLobbyHandlers({ game, channels, onError }: LobbyHandlersOptions): LobbyHandlers {
  const started = new WeakSet<Connection>()
  /** Since it began it was not told to leave. */
  const wanting = new WeakSet<Connection>()
  // Never the answer to a question from before a join: that may lack what the channel no longer brings.
  const list = shareRounds(async () => (await game.listTables({})).tables.map(summaryView))

  function join(session: ClientSession, since?: Position): Promise<Joined> {
    return channels.join(session.connection, lobbyChannel, {
      ...(since && { since }),
      onReset(position) {
        list().then(
          (tables) => session.send({ type: 'LobbyTablesUpdated', tables, ...position }),
          (error: unknown) => onError(error, session),
        )
      },
    })
  }

  async function snapshot(subscription: Joined, id?: string): Promise<LobbyTablesUpdated> {
    return {
      type: 'LobbyTablesUpdated',
      tables: await list(),
      ...subscription.position,
      ...(id !== undefined && { id }),
    }
  }

  async function subscribe(session: ClientSession, id?: string): Promise<Reply> {
    const subscription = await join(session)
    try {
      session.send(await snapshot(subscription, id))
      return 'answered'
    } finally {
      // Without the snapshot the next publication still brings the whole list.
      subscription.start()
    }
  }

  return {
    subscribe,
    start(session) {
      if (started.has(session.connection)) return
      started.add(session.connection)
      wanting.add(session.connection)
      void keepTrying({
        attempt: () => subscribe(session),
        isWanted: () => session.connection.state === 'open' && wanting.has(session.connection),
        onError: (error) => onError(error, session),
      })
    },
    async resume(_id, since, session) {
      started.add(session.connection)
      const subscription = await join(session, since)
      const { position, recovered, start } = subscription
      const { epoch, seq } = position
      const result = { recovered, epoch, seq }
      if (recovered) return { result, follow: start }
      try {
        const tables = await snapshot(subscription)
        return {
          result,
          follow() {
            session.send(tables)
            start()
          },
        }
      } catch (error) {
        // The next publication brings the whole list.
        onError(error, session)
        return { result, follow: start }
      }
    },
    unsubscribe(session) {
      started.add(session.connection)
      wanting.delete(session.connection)
      channels.leave(session.connectionId, lobbyChannel)
      return undefined
    },
  }
}
