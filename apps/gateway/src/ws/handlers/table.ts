/** Tables over the socket: subscribe, resync, seats and actions. Over 300 lines: what enters, waits and resumes shares the state of one subscription. */
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
import { factsOf, tableFactsOf } from '../../services/table-facts.ts'
import type { TableWatch } from '../../services/table-watch.ts'
import { tableView } from '../../services/table-view.ts'
import type { ClientSession, Reply } from '../client-session.ts'
import { createLateAnswers, isTransient, waitsFor } from '../late-answers.ts'
import type { ResumeChannel } from '../restore.ts'

export interface TableHandlersOptions {
  readonly game: Backends['game']
  readonly channels: Channels
  readonly spectators: Spectators
  readonly watch: TableWatch
  readonly holeCards: HoleCardsService
  /** Whether what is published comes through now. */
  readonly isLive: () => boolean
  /** A snapshot behind a `Reset` failed: the next update brings the state. Or that of a subscription, which is tried again. */
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

export function createTableHandlers({
  game,
  channels,
  spectators,
  watch,
  holeCards,
  isLive,
  onError,
}: TableHandlersOptions): TableHandlers {
  const resets = new Map<string, Promise<TableState>>()
  const late = createLateAnswers(onError)

  /** The newest hand's id, when the client named one that is over. */
  async function isStale(message: Action, session: ClientSession): Promise<boolean> {
    if (message.handId === undefined) return false
    // What this instance knows counts while it hears the table.
    const isHeard = isLive() && channels.has(session.connectionId, tableChannel(message.tableId))
    if (isHeard && watch.latest(message.tableId)?.handId === message.handId) return false
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
    /** Undefined when Game can't be asked now, and what was missed follows anyway or the client waits in silence. */
    readonly view: View | undefined
    /** Why there is no view. */
    readonly error: unknown
    /** Sends the snapshot if it is given, the owner's cards, then what came meanwhile. */
    readonly start: (snapshot?: TableSnapshot) => void
    /** Sends, on the started subscription, a state that was read since. */
    readonly show: (view: View, id: string | undefined) => void
  }

  interface Entering {
    readonly since?: Position
    readonly isResume?: boolean
    /** Tried again: the first time the channel could not be joined. */
    readonly isLate?: boolean
  }

  /** Subscribed first, started last: changes between the two wait, so none is missed and none comes before the snapshot. */
  async function enter(
    tableId: string,
    session: ClientSession,
    { since, isResume = false, isLate = false }: Entering,
  ): Promise<Entered> {
    let shown = -1
    let failure: unknown
    if (session.connection.state !== 'open') throw new GatewayError('cancelled')
    const come = (): void => spectators.enter(session.userId, tableId, session.connectionId)
    // At once: whoever asks about members meanwhile waits for it. Of many tries only the one that joins comes in.
    if (!isLate) come()
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
              // A hand may have begun unheard, and the turn may be this client's.
              watch.begin(tableState, position)
              holeCards.offer(tableId, watch.latest(tableId) ?? factsOf(tableState))
              const timer = watch.timerOf(tableState)
              if (timer) session.send(timer)
            },
            (error: unknown) => onError(error, session),
          )
        },
      })
      subscription = joined
      if (isLate) come()
      const view = await read(tableId, session.userId).catch((error: unknown) => {
        const isSpared = isResume ? joined.recovered && isTransient(error) : waitsFor(error, session)
        if (!isSpared) throw error
        failure = error
        return undefined
      })
      const give = ({ tableState, cards }: View, snapshot: TableSnapshot | undefined): void => {
        if (snapshot) {
          session.send(snapshot)
          shown = tableState.version
        }
        if (cards) session.send(cards)
        watch.begin(tableState, joined.position)
        const timer = watch.timerOf(tableState)
        if (timer) session.send(timer)
      }
      return {
        subscription: joined,
        view,
        error: failure,
        start(snapshot) {
          if (view) give(view, snapshot)
          holeCards.begin(session.connection, tableId, view?.tableState.hand?.handId)
          joined.start()
          // A hand that began while the state was read.
          const latest = watch.latest(tableId)
          if (latest) holeCards.offer(tableId, latest)
        },
        show(read, id) {
          const { tableState } = read
          const isNews = tableState.version >= shown
          const answering = id === undefined ? {} : { id }
          give(read, isNews ? { type: 'TableSnapshot', tableState, ...answering } : undefined)
          holeCards.begin(session.connection, tableId, tableState.hand?.handId)
        },
      }
    } catch (error) {
      if (subscription?.isNew) channels.leave(session.connectionId, tableChannel(tableId))
      else subscription?.start()
      const hasCome = !isLate || subscription !== undefined
      if (hasCome && !channels.has(session.connectionId, tableChannel(tableId)))
        spectators.leave(session.userId, tableId, session.connectionId)
      if (error instanceof GatewayError && error.code === 'not_found')
        throw new GatewayError('not_found', 'TABLE_NOT_FOUND', { cause: error })
      throw error
    }
  }

  async function subscribe(
    { tableId, since, id }: SubscribeTable | ResyncTable,
    session: ClientSession,
    isWanted?: () => boolean,
  ): Promise<void> {
    const { subscription, view, error, start, show } = await enter(tableId, session, {
      ...(since && { since }),
      isLate: isWanted !== undefined,
    })
    // Left meanwhile.
    if (isWanted?.() === false) return
    if (!view) {
      start()
      late.begin(session, tableChannel(tableId), {
        error,
        async attempt(isWanted) {
          const state = await read(tableId, session.userId)
          if (!isWanted()) return
          show(state, id)
          // The first time may have failed like the read.
          void spectators.enterAgain(session.userId, tableId)
        },
      })
      return
    }
    start({
      type: 'TableSnapshot',
      tableState: view.tableState,
      ...subscription.position,
      ...(since && { recovered: subscription.recovered }),
      ...(id !== undefined && { id }),
    })
  }

  return {
    async subscribe(message, session) {
      const channel = tableChannel(message.tableId)
      await late.subscribe(session, channel, (isWanted) => subscribe(message, session, isWanted))
      return 'answered'
    },

    async resume(tableId, since, session) {
      late.end(session, tableChannel(tableId))
      const { subscription, view, start } = await enter(tableId, session, { since, isResume: true })
      const { position, recovered } = subscription
      const { epoch, seq } = position
      const snapshot: TableSnapshot | undefined =
        recovered || !view ? undefined : { type: 'TableSnapshot', tableState: view.tableState, ...position }
      return { result: { recovered, epoch, seq }, follow: () => start(snapshot) }
    },

    unsubscribe({ tableId }, session) {
      late.end(session, tableChannel(tableId))
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
      if (ok) return null
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
        if (isTransient(error)) return result('unavailable')
        if (error instanceof GatewayError && error.code === 'not_found') return result('TABLE_NOT_FOUND')
        return result('internal_error')
      }
    },
  }
}
