import { actionTypes } from '../engine/hand.ts'
import type { GameService } from '../gen/game/game_pb.ts'
import type { Handlers } from '../grpc/grpc-server.ts'
import type { IdempotencyCache } from '../idempotency.ts'
import { PlatformError, requireText } from '../platform-error.ts'
import { parseTableConfig } from './table-config.ts'
import { toSummary, toTable, toTableState } from './table-message.ts'
import { holeCardsOf } from './table-state.ts'
import type { Table } from './table.ts'
import type { Tables } from './tables.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs

export interface GameServiceOptions {
  readonly tables: Tables
  readonly idempotency: IdempotencyCache
}

interface Answer {
  readonly ok: boolean
  readonly error: string
}

/** A mutating request that answers `ok` or a code word. */
interface SeatRequest {
  readonly tableId: string
  readonly userId: string
  readonly idempotencyKey: string
}

/** game.GameService: the RPCs over the tables. Refusals of seat, spectator and action calls are answers, not errors. */
export function createGameService(options: GameServiceOptions): Handlers<typeof GameService> {
  const { tables, idempotency } = options
  /** Runs `attempt` once per key on an existing table; only an `ok` is remembered. */
  const attempt = (
    rpc: { readonly name: string; readonly ttlMs: number },
    request: SeatRequest,
    run: (table: Table, userId: string) => Promise<string | null> | string | null,
  ): Promise<Answer> =>
    idempotency.once({
      rpc: rpc.name,
      key: request.idempotencyKey,
      ttlMs: rpc.ttlMs,
      isKept: (answer) => answer.ok,
      run: async () => {
        const table = tables.find(requireText(request.tableId, 'MISSING_TABLE_ID'))
        const userId = requireText(request.userId, 'MISSING_USER_ID')
        const error = table ? await run(table, userId) : 'TABLE_NOT_FOUND'
        return { ok: error === null, error: error ?? '' }
      },
    })
  /** Runs `run` once per key for a table's owner on somebody else. */
  const moderate = (name: string, request: ModerationRequest, run: ModerationStep): Promise<object> =>
    idempotency.once({
      rpc: name,
      key: request.idempotencyKey,
      ttlMs: minuteMs,
      run: async () => {
        const target = requireText(request.targetUserId, 'MISSING_USER_ID')
        const table = tables.get(requireText(request.tableId, 'MISSING_TABLE_ID'))
        if (table.state.ownerId !== request.ownerId)
          throw new PlatformError('PERMISSION_DENIED', 'NOT_AUTHORIZED')
        const error = await run(table, target)
        if (error !== null) throw new PlatformError('INTERNAL', error)
        return {}
      },
    })
  return {
    createTable: (request) =>
      idempotency.once({
        rpc: 'CreateTable',
        key: request.idempotencyKey,
        ttlMs: hourMs,
        run: () => {
          const name = requireText(request.name, 'INVALID_TABLE_NAME')
          const ownerId = requireText(request.ownerId, 'MISSING_USER_ID')
          return toTable(tables.create({ name, ownerId, config: parseTableConfig(request.config) }))
        },
      }),
    getTable: ({ tableId }) => toTable(tables.get(tableId).state),
    listTables: () => ({ tables: tables.list().map(toSummary) }),
    deleteTable: (request) =>
      idempotency.once({
        rpc: 'DeleteTable',
        key: request.idempotencyKey,
        ttlMs: hourMs,
        run: () => {
          tables.delete(requireText(request.tableId, 'MISSING_TABLE_ID'))
          return {}
        },
      }),
    getTableState: ({ tableId, userId }) => {
      const { state } = tables.get(tableId)
      return { state: toTableState(state), holeCards: [...holeCardsOf(state, userId)] }
    },
    joinSeat: (request) =>
      attempt({ name: 'JoinSeat', ttlMs: 10 * minuteMs }, request, (table, userId) => {
        const wanted = Number(request.buyInAmount)
        if (wanted < 0 || !Number.isSafeInteger(wanted))
          throw new PlatformError('INVALID_ARGUMENT', 'INVALID_AMOUNT')
        const buyIn = wanted === 0 ? table.state.config.startingStack : wanted
        return table.join({ userId, seatId: request.seatId, buyIn, key: request.idempotencyKey })
      }),
    leaveSeat: (request) =>
      attempt({ name: 'LeaveSeat', ttlMs: 10 * minuteMs }, request, (table, userId) =>
        table.leave(userId, 'LEFT'),
      ),
    joinSpectator: (request) =>
      attempt({ name: 'JoinSpectator', ttlMs: minuteMs }, request, (table, userId) =>
        table.addSpectator(userId) ? null : 'SPECTATORS_FULL',
      ),
    leaveSpectator: (request) =>
      attempt({ name: 'LeaveSpectator', ttlMs: minuteMs }, request, (table, userId) => {
        table.removeSpectator(userId)
        return null
      }),
    submitAction: (request) =>
      attempt({ name: 'SubmitAction', ttlMs: 5 * minuteMs }, request, (table, userId) => {
        const type = actionTypes.find((known) => known === request.actionType)
        const amount = request.amount === undefined ? undefined : Number(request.amount)
        return type ? table.move(userId, type, amount) : 'ILLEGAL_ACTION'
      }),
    kickPlayer: (request) =>
      moderate('KickPlayer', request, (table, userId) => table.leave(userId, 'KICKED')),
    mutePlayer: (request) =>
      moderate('MutePlayer', request, (table, userId) => setMuted(table, userId, true)),
    unmutePlayer: (request) =>
      moderate('UnmutePlayer', request, (table, userId) => setMuted(table, userId, false)),
    isMuted: ({ tableId, userId }) => ({ isMuted: tables.find(tableId)?.isMuted(userId) ?? false }),
  }
}

interface ModerationRequest {
  readonly tableId: string
  readonly ownerId: string
  readonly targetUserId: string
  readonly idempotencyKey: string
}

type ModerationStep = (table: Table, target: string) => Promise<string | null> | string | null

function setMuted(table: Table, userId: string, isMuted: boolean): null {
  table.setMuted(userId, isMuted)
  return null
}
