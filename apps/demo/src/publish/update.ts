import type { JsonObject } from '@bufbuild/protobuf'

/** What Game tells the gateway's clients: a table's new state, or the lobby's list. */
export interface Update {
  readonly channel: 'table' | 'lobby'
  /** The table's id, or `lobby`. */
  readonly tableId: string
  /** The client message, an object with a `type`. */
  readonly payload: JsonObject
  /** Unique per update: a repeat is delivered once. */
  readonly key: string
}

/** The way from Game to the gateway. In order per table; never blocks; the oldest of 64 waiting updates is dropped. */
export interface UpdatePublisher {
  readonly publish: (update: Update) => void
  /** Updates that have not arrived yet. */
  readonly depth: () => number
  readonly close: () => Promise<void>
}
