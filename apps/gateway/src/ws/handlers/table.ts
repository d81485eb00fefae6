/** Tables over the socket: subscribe, resync, seats and actions. */
import { randomUUID } from 'node:crypto'
import {
  type Action,
  type HoleCards,
  type JoinSeat,
  type LeaveTable,
  type ResyncTable,
  type SubscribeTable,
  tableChannel,
  type TableSnapshot,
  type UnsubscribeTable,
} from '@gw/protocol'
import { GatewayError } from '../../errors.ts'
import type { Backends } from '../../grpc/backends.ts'
import type { Channels } from '../../services/channels.ts'
import type { Spectators } from '../../services/spectators.ts'
import { tableFactsOf, type TableFactsCache } from '../../services/table-facts.ts'
import { cardView, tableView } from '../../services/table-view.ts'
import type { ClientSession, Reply } from '../client-session.ts'

export interface TableHandlersOptions {
  readonly game: Backends['game']
  readonly channels: Channels
  readonly spectators: Spectators
  readonly facts: TableFactsCache
}

export interface TableHandlers {
  subscribe(message: SubscribeTable | ResyncTable, session: ClientSession): Promise<Reply>
  unsubscribe(message: UnsubscribeTable, session: ClientSession): Reply
  joinSeat(message: JoinSeat, session: ClientSession): Promise<Reply>
  leaveTable(message: LeaveTable, session: ClientSession): Promise<Reply>
  act(message: Action, session: ClientSession): Promise<Reply>
}

/** A client's `id` makes the backend's key: a repeat after a reconnect, by any instance, is applied once. */
function keyFor(session: ClientSession, message: { readonly type: string; readonly id?: string }): string {
  return message.id === undefined ? randomUUID() : `${session.userId}:ws:${message.type}:${message.id}`
}

function holeCards(
  tableId: string,
  handId: string | undefined,
  cards: readonly { rank: string; suit: string }[],
): HoleCards | undefined {
  const [first, second] = cards
  if (handId === undefined || first === undefined || second === undefined) return undefined
  return { type: 'HoleCards', tableId, handId, cards: [cardView(first), cardView(second)] }
}

export function createTableHandlers({
  game,
  channels,
  spectators,
  facts,
}: TableHandlersOptions): TableHandlers {
  /** The newest hand's id, when the client named one that is over. */
  async function isStale(message: Action, session: ClientSession): Promise<boolean> {
    if (message.handId === undefined) return false
    if (facts.latest(message.tableId)?.handId === message.handId) return false
    const { state } = await game.getTableState({ tableId: message.tableId, userId: session.userId })
    return state?.hand?.handId !== message.handId
  }

  return {
    async subscribe(message, session) {
      const { tableId } = message
      // Subscribed first, started last: changes between the two wait, so none is missed and none comes before the snapshot.
      let shown = -1
      const subscription = await channels.join(session.connection, tableChannel(tableId), {
        ...(message.since && { since: message.since }),
        // Today's client gets no state older than what it has seen; a client that counts positions gets every one.
        accepts(update) {
          const news = tableFactsOf(update)
          if (news === undefined) return true
          facts.learn(tableId, news)
          if (news.version <= shown && session.features.size === 0) return false
          shown = Math.max(shown, news.version)
          return true
        },
      })
      try {
        const [table, { state, holeCards: cards }] = await Promise.all([
          game.getTable({ tableId }),
          game.getTableState({ tableId, userId: session.userId }),
        ])
        if (!state) throw new GatewayError('bad_gateway')
        spectators.enter(session.userId, tableId, session.connectionId)
        const reply: TableSnapshot = {
          type: 'TableSnapshot',
          tableState: tableView(table, state),
          ...subscription.position,
          ...(message.since && { recovered: subscription.recovered }),
          ...(message.id !== undefined && { id: message.id }),
        }
        session.send(reply)
        const own = holeCards(tableId, state.hand?.handId, cards)
        if (own) session.send(own)
        shown = state.version
        subscription.start()
        return 'answered'
      } catch (error) {
        if (subscription.isNew) channels.leave(session.connectionId, tableChannel(tableId))
        else subscription.start()
        if (error instanceof GatewayError && error.code === 'not_found')
          throw new GatewayError('not_found', 'TABLE_NOT_FOUND', { cause: error })
        throw error
      }
    },

    unsubscribe({ tableId }, session) {
      if (channels.leave(session.connectionId, tableChannel(tableId)))
        spectators.leave(session.userId, tableId, session.connectionId)
      return undefined
    },

    async joinSeat(message, session) {
      const buyIn = Math.max(0, message.buyInAmount ?? 0)
      const { ok, error } = await game.joinSeat({
        tableId: message.tableId,
        userId: session.userId,
        seatId: message.seatId,
        buyInAmount: BigInt(buyIn),
        idempotencyKey: keyFor(session, message),
      })
      return ok
        ? undefined
        : { type: 'Error', code: 'refused', message: error, tableId: message.tableId, retryable: false }
    },

    async leaveTable(message, session) {
      const { tableId } = message
      const { ok, error } = await game.leaveSeat({
        tableId,
        userId: session.userId,
        idempotencyKey: keyFor(session, message),
      })
      // Leaving where one isn't seated happens whenever a kick and a leave cross: no reason to turn today's client red.
      if (ok || (error === 'PLAYER_NOT_AT_TABLE' && message.id === undefined)) return undefined
      return { type: 'Error', code: 'refused', message: error, tableId, retryable: false }
    },

    async act(message, session) {
      const { tableId, action, amount } = message
      const result = (reason: string): Reply => ({
        type: 'ActionResult',
        tableId,
        accepted: reason === '',
        reason,
      })
      if (amount === undefined && (action === 'Bet' || action === 'Raise')) return result('missing_amount')
      if (amount !== undefined && amount < 0) return result('INVALID_AMOUNT')
      try {
        if (await isStale(message, session)) return result('stale_hand')
        const { ok, error } = await game.submitAction({
          tableId,
          userId: session.userId,
          actionType: action.toUpperCase(),
          ...(amount !== undefined && { amount: BigInt(amount) }),
          idempotencyKey: keyFor(session, message),
        })
        return result(ok ? '' : error)
      } catch (error) {
        if (error instanceof GatewayError && (error.code === 'unavailable' || error.code === 'timeout'))
          return result('unavailable')
        if (error instanceof GatewayError && error.code === 'not_found') return result('TABLE_NOT_FOUND')
        return result('internal_error')
      }
    },
  }
}
