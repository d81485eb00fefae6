/** The way of what backends publish into the channels: the lobby in slots, tables completed, all else as it is. */
import { lobbyChannel } from '@gw/protocol'
import type { Broker } from '@gw/pubsub'
import type { Backends } from '../grpc/backends.ts'
import type { Intake } from '../messaging.ts'
import { normaliseLobby } from './ingest-envelope.ts'
import { createLobbyFeed } from './lobby-feed.ts'
import { createTableCompletion } from './table-completion.ts'

export interface IntakeOptions {
  readonly broker: Broker
  readonly game: Pick<Backends['game'], 'getTableState'>
}

/** As {@link normaliseLobby}; what is no lobby stays as it is. */
function withStructure(data: Buffer | string): Buffer | string {
  try {
    return JSON.stringify(normaliseLobby(JSON.parse(data.toString())))
  } catch {
    return data
  }
}

export function createIntake({ broker, game }: IntakeOptions): Intake {
  const lobby = createLobbyFeed({ broker })
  const complete = createTableCompletion({
    publish: (channel, data, options) => broker.publish(channel, data, options),
    game,
  })
  return {
    publish: (channel, data, options) =>
      channel === lobbyChannel
        ? lobby.publish(withStructure(data), options?.heardAtMs)
        : complete(channel, data, options),
    close: () => lobby.close(),
  }
}
