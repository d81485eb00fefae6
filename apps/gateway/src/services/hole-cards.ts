/**
 * Brings each player the own two cards of every new hand: asked of Game as that user, written to that user's own sockets
 * that watch the table, and to nothing else: no channel, no log line, no other map holds a card.
 */
import { type Connection, encodeFrame, type Frame, type SendResult } from '@gw/connections'
import type { HoleCards } from '@gw/protocol'
import type { Backends } from '../grpc/backends.ts'
import type { TableFacts } from './table-facts.ts'
import { cardView } from './table-view.ts'

export interface HoleCardsOptions {
  readonly game: Pick<Backends['game'], 'getTableState'>
  /** The user's own sockets on this instance that are subscribed to the table. */
  readonly socketsOf: (userId: string, tableId: string) => readonly Connection[]
  readonly onError: (error: unknown, context: { readonly userId: string; readonly tableId: string }) => void
  /** What became of the cards on their way to one socket. */
  readonly onSent?: (frame: Frame, result: SendResult) => void
}

export interface HoleCardsService {
  /** The socket has its snapshot, and the cards of `handId` where it holds some: from now on new hands are brought. */
  begin(connection: Connection, tableId: string, handId: string | undefined): void
  /** Brings the hand's cards to whoever sits there and lacks them. Failures are tried again at the next update. */
  readonly offer: (tableId: string, facts: TableFacts) => void
}

/** GetTableState's cards as a message; undefined for who holds none. Throws `bad_gateway` on cards that don't exist. */
export function holeCardsMessage(
  tableId: string,
  handId: string | undefined,
  cards: readonly { readonly rank: string; readonly suit: string }[],
): HoleCards | undefined {
  const [first, second] = cards
  if (handId === undefined || first === undefined || second === undefined) return undefined
  return { type: 'HoleCards', tableId, handId, cards: [cardView(first), cardView(second)] }
}

const noHand = ''

export function createHoleCards({ game, socketsOf, onError, onSent }: HoleCardsOptions): HoleCardsService {
  /** For each socket and table: the last hand whose cards it has, or that it is known to have none of. */
  const settled = new WeakMap<Connection, Map<string, string>>()
  /** The newest hand that was offered to those who are being asked for. */
  const newest = new Map<string, string>()

  function lacking(tableId: string, userId: string, handId: string): Connection[] {
    return socketsOf(userId, tableId).filter((connection) => {
      const has = settled.get(connection)?.get(tableId)
      return connection.identity?.userId === userId && has !== undefined && has !== handId
    })
  }

  async function bring(tableId: string, userId: string): Promise<void> {
    const { state, holeCards } = await game.getTableState({ tableId, userId })
    const handId = state?.hand?.handId
    if (handId === undefined) return
    const message = holeCardsMessage(tableId, handId, holeCards)
    const frame = message && encodeFrame(JSON.stringify(message))
    for (const connection of lacking(tableId, userId, handId)) {
      if (frame) {
        const result = connection.send(frame)
        onSent?.(frame, result)
      }
      // Seated and without cards: not dealt in. Asked once a hand, not at each update.
      settled.get(connection)?.set(tableId, handId)
    }
  }

  function offer(tableId: string, { handId, seated }: TableFacts): void {
    if (handId === undefined) return
    for (const userId of seated) {
      const key = `${tableId}\n${userId}`
      if (lacking(tableId, userId, handId).length === 0) continue
      const isAsking = newest.has(key)
      newest.set(key, handId)
      if (!isAsking) void bringAll(key, tableId, userId)
    }
  }

  /** One question at a time for each user and table; a hand that began meanwhile is asked for once more. */
  async function bringAll(key: string, tableId: string, userId: string): Promise<void> {
    try {
      let handId: string | undefined
      while (handId !== newest.get(key)) {
        handId = newest.get(key)
        await bring(tableId, userId)
      }
    } catch (error) {
      onError(error, { userId, tableId })
    } finally {
      newest.delete(key)
    }
  }

  return {
    begin(connection, tableId, handId) {
      const tables = settled.get(connection) ?? new Map<string, string>()
      settled.set(connection, tables.set(tableId, handId ?? noHand))
    },
    offer,
  }
}
