/** The lobby over the socket: a snapshot, then every published change. Each connection starts subscribed. */
import { lobbyChannel, type LobbyTablesUpdated } from '@gw/protocol'
import type { Backends } from '../../grpc/backends.ts'
import type { Channels } from '../../services/channels.ts'
import { summaryView } from '../../services/table-view.ts'
import type { ClientSession, Reply } from '../client-session.ts'

export interface LobbyHandlersOptions {
  readonly game: Backends['game']
  readonly channels: Channels
}

export interface LobbyHandlers {
  subscribe(session: ClientSession, id?: string): Promise<Reply>
  unsubscribe(session: ClientSession): Reply
}

export function createLobbyHandlers({ game, channels }: LobbyHandlersOptions): LobbyHandlers {
  return {
    async subscribe(session, id) {
      const subscription = await channels.join(session.connection, lobbyChannel)
      try {
        const { tables } = await game.listTables({})
        const reply: LobbyTablesUpdated = {
          type: 'LobbyTablesUpdated',
          tables: tables.map(summaryView),
          ...subscription.position,
          ...(id !== undefined && { id }),
        }
        session.send(reply)
        return 'answered'
      } finally {
        // Without the snapshot the next publication still brings the whole list.
        subscription.start()
      }
    },
    unsubscribe(session) {
      channels.leave(session.connectionId, lobbyChannel)
      return undefined
    },
  }
}
