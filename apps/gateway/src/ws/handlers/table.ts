/** Tables over the socket: subscribe, resync, seats and actions. */
import { randomUUID } from 'node:crypto'
import {
  type Action,
  type HoleCards,
  type JoinSeat,
  type LeaveTable,
  type Position,
  type ResyncTable,
  type SubscribeTable,
  tableChannel,
  type TableSnapshot,
  type TableState,
  type UnsubscribeTable,
} from '@gw/protocol'
import { GatewayError } from '../../errors.ts'
import type { KeptAnswer } from '../../services/answer-store.ts'
import type { Backends } from '../../grpc/backends.ts'
import type { ChannelPosition, Channels, Joined } from '../../services/channels.ts'
import type { Spectators } from '../../services/spectators.ts'
import { type HoleCardsService, holeCardsMessage } from '../../services/hole-cards.ts'
import { tableFactsOf } from '../../services/table-facts.ts'
import type { TableWatch } from '../../services/table-watch.ts'
import { tableView } from '../../services/table-view.ts'
import type { ClientSession, Reply } from '../client-session.ts'
import type { ResumeChannel } from '../restore.ts'

export interface TableHandlersOptions {
  readonly game: Backends['game']
  readonly channels: Channels
  readonly spectators: Spectators
  readonly watch: TableWatch
  readonly holeCards: HoleCardsService
  /** A snapshot behind a `Reset` failed: the next update brings the state. */
  readonly onError: (error: unknown, session: ClientSession) => void
}

export interface TableHandlers {
  subscribe(message: SubscribeTable | ResyncTable, session: ClientSession): Promise<Reply>
  readonly resume: ResumeChannel
  unsubscribe(message: UnsubscribeTable, session: ClientSession): Reply
  joinSeat(message: JoinSeat, session: ClientSession): Promise<KeptAnswer>
  leaveTable(message: LeaveTable, session: ClientSession): Promise<KeptAnswer>
  act(message: Action, session: ClientSession): Promise<KeptAnswer>
}

/** A client's `id` makes the backend's key: a repeat after a reconnect, by any instance, is applied once. */
function keyFor(session: ClientSession, message: { readonly type: string; readonly id?: string }): string {
  return message.id === undefined ? randomUUID() : `${session.userId}:ws:${message.type}:${message.id}`
}

function isTransient(error: unknown): boolean {
  return error instanceof GatewayError && (error.code === 'unavailable' || error.code === 'timeout')
}

export function createTableHandlers({
  game,
  channels,
  spectators,
  watch,
  holeCards,
  onError,
}: TableHandlersOptions): TableHandlers {
  const resets = new Map<string, Promise<TableState>>()

  /** The newest hand's id, when the client named one that is over. */
  async function isStale(message: Action, session: ClientSession): Promise<boolean> {
    if (message.handId === undefined) return false
    if (watch.latest(message.tableId)?.handId === message.handId) return false
    const { state } = await game.getTableState({ tableId: message.tableId, userId: session.userId })
    return state?.hand?.handId !== message.handId
  }

  interface View {
    readonly tableState: TableState
    readonly cards: HoleCards | undefined
  }

  async function read(tableId: string, userId: string): Promise<View> {
    const [table, { state, holeCards: cards }] = await Promise.all([
      game.getTable({ tableId }),
      game.getTableState({ tableId, userId }),
    ])
    if (!state) throw new GatewayError('bad_gateway')
    return {
      tableState: tableView(table, state),
      cards: holeCardsMessage(tableId, state.hand?.handId, cards),
    }
  }

  /** One question to Game for all sockets of this instance that were at the table. */
  function stateAfterReset({ epoch, seq }: ChannelPosition, tableId: string): Promise<TableState> {
    const key = `${tableId} ${epoch} ${seq}`
    const known = resets.get(key)
    if (known) return known
    const reading = Promise.all([game.getTable({ tableId }), game.getTableState({ tableId })])
      .then(([table, { state }]) => {
        if (!state) throw new GatewayError('bad_gateway')
        return tableView(table, state)
      })
      .finally(() => resets.delete(key))
    resets.set(key, reading)
    return reading
  }

  interface Entered {
    readonly subscription: Joined
    /** Undefined when what was missed follows anyway and Game can't be asked now. */
    readonly view: View | undefined
    /** Sends the snapshot if it is given, the owner's cards, then what came meanwhile. */
    readonly start: (snapshot?: TableSnapshot) => void
  }

  /** Subscribed first, started last: changes between the two wait, so none is missed and none comes before the snapshot. */
  async function enter(
    tableId: string,
    session: ClientSession,
    { since, isResume = false }: { readonly since?: Position; readonly isResume?: boolean },
  ): Promise<Entered> {
    let shown = -1
    // At once: whoever asks about members meanwhile waits for it.
    spectators.enter(session.userId, tableId, session.connectionId)
    let subscription: Joined | undefined
    try {
      const joined = await channels.join(session.connection, tableChannel(tableId), {
        ...(since && { since }),
        // Today's client gets no state older than what it has seen; a client that counts positions gets every one.
        accepts(update) {
          const news = tableFactsOf(update)
          if (news === undefined) return true
          if (news.version <= shown && session.features.size === 0) return false
          shown = Math.max(shown, news.version)
          return true
        },
        onReset(position) {
          shown = -1
          stateAfterReset(position, tableId).then(
            (tableState) => {
              // A newer one came meanwhile.
              if (tableState.version < shown) return
              shown = tableState.version
              session.send({ type: 'TableSnapshot', tableState, ...position })
            },
            (error: unknown) => onError(error, session),
          )
        },
      })
      subscription = joined
      const view = await read(tableId, session.userId).catch((error: unknown) => {
        if (isResume && joined.recovered && isTransient(error)) return undefined
        throw error
      })
      return {
        subscription: joined,
        view,
        start(snapshot) {
          if (snapshot) {
            session.send(snapshot)
            shown = snapshot.tableState.version
          }
          if (view?.cards) session.send(view.cards)
          if (view) watch.begin(view.tableState, joined.position)
          const timer = view && watch.timerOf(view.tableState)
          if (timer) session.send(timer)
          holeCards.begin(session.connection, tableId, view?.tableState.hand?.handId)
          joined.start()
          // A hand that began while the state was read.
          const latest = watch.latest(tableId)
          if (latest) holeCards.offer(tableId, latest)
        },
      }
    } catch (error) {
      if (subscription?.isNew) channels.leave(session.connectionId, tableChannel(tableId))
      else subscription?.start()
      if (!channels.has(session.connectionId, tableChannel(tableId)))
        spectators.leave(session.userId, tableId, session.connectionId)
      if (error instanceof GatewayError && error.code === 'not_found')
        throw new GatewayError('not_found', 'TABLE_NOT_FOUND', { cause: error })
      throw error
    }
  }

  return {
    async subscribe({ tableId, since, id }, session) {
      const { subscription, view, start } = await enter(tableId, session, since ? { since } : {})
      if (!view) throw new GatewayError('internal')
      start({
        type: 'TableSnapshot',
        tableState: view.tableState,
        ...subscription.position,
        ...(since && { recovered: subscription.recovered }),
        ...(id !== undefined && { id }),
      })
      return 'answered'
    },

    async resume(tableId, since, session) {
      const { subscription, view, start } = await enter(tableId, session, { since, isResume: true })
      const { position, recovered } = subscription
      const { epoch, seq } = position
      const snapshot: TableSnapshot | undefined =
        recovered || !view ? undefined : { type: 'TableSnapshot', tableState: view.tableState, ...position }
      return { result: { recovered, epoch, seq }, follow: () => start(snapshot) }
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
        ? null
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
      if (ok || (error === 'PLAYER_NOT_AT_TABLE' && message.id === undefined)) return null
      return { type: 'Error', code: 'refused', message: error, tableId, retryable: false }
    },

    async act(message, session) {
      const { tableId, action, amount } = message
      const result = (reason: string): KeptAnswer => ({
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
