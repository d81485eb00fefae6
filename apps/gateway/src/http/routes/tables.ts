/** `/api/tables`: the lobby, seats, spectating and play, relayed to Game. */
import { z } from 'zod'
import { GatewayError } from '../../errors.ts'
import type { Backends } from '../../grpc/backends.ts'
import { GetTableStateResponseSchema, TableSchema, TableSummarySchema } from '../../grpc/gen/game/game_pb.ts'
import { relayJson } from '../../grpc/relay-json.ts'
import type { DailyBonus } from '../../services/daily-bonus.ts'
import { answers, exampleIds } from './answers.ts'
import { id, nothing, seatId, tableParams, wholeNumber } from './inputs.ts'
import { type Answer, type MountableRoute, refused, route, type RouteCall } from '../route.ts'
import { websocketUrl } from '../websocket-url.ts'

const positive = z.int().positive()

const newTable = z.object({
  // The contract has no bound; this one is ours.
  name: z.string().trim().min(1).max(1000),
  config: z
    .object({
      smallBlind: positive.default(1),
      bigBlind: positive.optional(),
      ante: z.int().min(0).nullable().default(0),
      maxPlayers: z.int().min(2).max(9).default(9),
      startingStack: positive.default(200),
      bettingStructure: z.literal('NoLimit').optional(),
      turnTimerSeconds: positive.default(20),
    })
    .prefault({})
    .transform((config) => ({
      ...config,
      bigBlind: config.bigBlind ?? config.smallBlind * 2,
      ante: config.ante ?? 0,
    }))
    .refine((config) => config.bigBlind >= config.smallBlind * 2 && config.ante < config.smallBlind),
})

const actionWords = ['FOLD', 'CHECK', 'CALL', 'BET', 'RAISE', 'ALL_IN'] as const
const newAction = z
  .object({ actionType: z.string().toUpperCase().pipe(z.enum(actionWords)), amount: wholeNumber.optional() })
  .refine(
    ({ actionType, amount }) => amount !== undefined || (actionType !== 'BET' && actionType !== 'RAISE'),
  )

export interface TableRoutesOptions {
  readonly game: Backends['game']
  readonly dailyBonus: DailyBonus
}

/** `ok: false` of the seat, spectator and action calls is a refusal with the game's own code. */
function outcome(
  result: { readonly ok: boolean; readonly error: string },
  accepted: Answer['body'] = { ok: true },
): Answer {
  return result.ok ? { status: 200, body: accepted } : refused(result.error)
}

/** The routes of contract §1.2 under `/api/tables`. */
export function tableRoutes({ game, dailyBonus }: TableRoutesOptions): readonly MountableRoute[] {
  async function join(
    seat: { tableId: string; seatId: number; buyInAmount: number },
    call: RouteCall,
  ): Promise<Answer> {
    const request = {
      tableId: seat.tableId,
      userId: call.caller.subject,
      seatId: seat.seatId,
      buyInAmount: BigInt(seat.buyInAmount),
      idempotencyKey: call.idempotencyKey,
    }
    let result = await game.joinSeat(request, call.options)
    if (!result.ok && (result.error === 'ACCOUNT_NOT_FOUND' || result.error === 'INSUFFICIENT_BALANCE')) {
      const authorization = call.request.get('authorization') ?? ''
      await dailyBonus.grant({ userId: call.caller.subject, authorization })
      // Whatever came of it: a grant whose answer was lost pays too. Game keeps no refusal under a key.
      result = await game.joinSeat(request, call.options)
    }
    return outcome(result, { tableId: seat.tableId, seatId: seat.seatId, wsUrl: websocketUrl(call.request) })
  }

  const bare = { params: tableParams, query: nothing, body: nothing, invalid: 'Invalid request' }
  const notFound = 'Table not found'

  return [
    route({
      ...bare,
      method: 'get',
      path: '/api/tables',
      summary: 'All tables.',
      answer: answers.tables,
      examples: [{ summary: 'The lobby', status: 200 }],
      params: nothing,
      failure: 'Failed to list tables',
      async handle(_input, call) {
        const { tables } = await game.listTables({}, call.options)
        return { status: 200, body: tables.map((table) => relayJson(TableSummarySchema, table)) }
      },
    }),
    route({
      method: 'post',
      path: '/api/tables',
      summary: 'Create a table; the caller owns it.',
      answer: answers.newTable,
      examples: [
        { summary: 'With the usual blinds', status: 201, body: { name: 'Friday night' } },
        {
          summary: 'With settings of its own',
          status: 201,
          headers: { 'Idempotency-Key': 'create-1' },
          body: { name: 'High stakes', config: { smallBlind: 5, bigBlind: 10, maxPlayers: 6 } },
        },
        { summary: 'No name', status: 400, body: { name: '' } },
      ],
      params: nothing,
      query: nothing,
      body: newTable,
      invalid: 'Invalid request',
      failure: 'Failed to create table',
      async handle({ body: { name, config } }, call) {
        const table = await game.createTable(
          {
            name,
            ownerId: call.caller.subject,
            config: {
              smallBlind: BigInt(config.smallBlind),
              bigBlind: BigInt(config.bigBlind),
              ante: BigInt(config.ante),
              maxPlayers: config.maxPlayers,
              startingStack: BigInt(config.startingStack),
              turnTimerSeconds: config.turnTimerSeconds,
            },
            idempotencyKey: call.idempotencyKey,
          },
          call.options,
        )
        return { status: 201, body: relayJson(TableSchema, table) }
      },
    }),
    route({
      ...bare,
      method: 'get',
      path: '/api/tables/:tableId',
      summary: 'One table.',
      answer: answers.table,
      examples: [
        { summary: 'A table', status: 200, params: { tableId: exampleIds.tableId } },
        { summary: 'No such table', status: 404, params: { tableId: 'none' } },
      ],
      failure: 'Failed to get table',
      notFound,
      async handle({ params }, call) {
        return { status: 200, body: relayJson(TableSchema, await game.getTable(params, call.options)) }
      },
    }),
    route({
      ...bare,
      method: 'delete',
      path: '/api/tables/:tableId',
      summary: 'Delete a table; only its owner may.',
      answer: answers.nothing,
      examples: [
        { summary: 'By its owner', status: 204, params: { tableId: exampleIds.tableId } },
        { summary: 'No such table', status: 404, params: { tableId: 'none' } },
      ],
      failure: 'Failed to delete table',
      notFound,
      async handle({ params }, call) {
        // The RPC knows no owner. A table that is gone goes to the backend: its idempotency cache makes the owner's repeat a 204.
        const table = await game.getTable(params, call.options).catch((error: unknown) => {
          if (error instanceof GatewayError && error.code === 'not_found') return undefined
          throw error
        })
        if (table && table.ownerId !== call.caller.subject)
          throw new GatewayError('forbidden', 'Only the owner may delete a table')
        await game.deleteTable({ ...params, idempotencyKey: call.idempotencyKey }, call.options)
        return { status: 204 }
      },
    }),
    route({
      ...bare,
      method: 'get',
      path: '/api/tables/:tableId/state',
      summary: "A table's state, with the caller's own hole cards.",
      answer: answers.tableState,
      examples: [
        { summary: 'A hand in progress', status: 200, params: { tableId: exampleIds.tableId } },
        { summary: 'No such table', status: 404, params: { tableId: 'none' } },
      ],
      failure: 'Failed to get table state',
      notFound,
      async handle({ params }, call) {
        const state = await game.getTableState({ ...params, userId: call.caller.subject }, call.options)
        return { status: 200, body: relayJson(GetTableStateResponseSchema, state) }
      },
    }),
    route({
      ...bare,
      method: 'post',
      path: '/api/tables/:tableId/join',
      summary: 'Take a seat.',
      answer: answers.joined,
      examples: [
        {
          summary: 'Seat 3, with the starting stack',
          status: 200,
          params: { tableId: exampleIds.tableId },
          body: { seatId: 3 },
        },
        {
          summary: 'A seat that is taken',
          status: 400,
          params: { tableId: exampleIds.tableId },
          body: { seatId: 0 },
        },
      ],
      body: z.object({ seatId, buyInAmount: wholeNumber.default(0) }),
      invalid: 'seatId is required',
      failure: 'Failed to join seat',
      notFound,
      handle: ({ params, body }, call) => join({ ...params, ...body }, call),
    }),
    route({
      ...bare,
      method: 'post',
      path: '/api/tables/:tableId/seats/:seatId/join',
      summary: 'Take a seat, named in the path.',
      answer: answers.joined,
      examples: [
        {
          summary: 'Seat 3, with 100',
          status: 200,
          params: { tableId: exampleIds.tableId, seatId: 3 },
          body: { buyInAmount: 100 },
        },
      ],
      params: z.object({ tableId: id, seatId }),
      body: z.object({ buyInAmount: wholeNumber.default(0) }),
      invalid: 'seatId is required',
      failure: 'Failed to join seat',
      notFound,
      handle: ({ params, body }, call) => join({ ...params, ...body }, call),
    }),
    route({
      ...bare,
      method: 'post',
      path: '/api/tables/:tableId/leave',
      summary: 'Leave the seat.',
      answer: answers.ok,
      examples: [{ summary: 'From one’s seat', status: 200, params: { tableId: exampleIds.tableId } }],
      failure: 'Failed to leave seat',
      notFound,
      async handle({ params }, { caller, idempotencyKey, options }) {
        return outcome(await game.leaveSeat({ ...params, userId: caller.subject, idempotencyKey }, options))
      },
    }),
    route({
      ...bare,
      method: 'post',
      path: '/api/tables/:tableId/spectate',
      summary: 'Watch a table.',
      answer: answers.ok,
      examples: [
        { summary: 'A table', status: 200, params: { tableId: exampleIds.tableId } },
        { summary: 'No such table', status: 400, params: { tableId: 'none' } },
      ],
      failure: 'Failed to join spectator',
      notFound,
      async handle({ params }, { caller, idempotencyKey, options }) {
        return outcome(
          await game.joinSpectator({ ...params, userId: caller.subject, idempotencyKey }, options),
        )
      },
    }),
    route({
      ...bare,
      method: 'post',
      path: '/api/tables/:tableId/spectate/leave',
      summary: 'Stop watching a table.',
      answer: answers.ok,
      examples: [{ summary: 'A table', status: 200, params: { tableId: exampleIds.tableId } }],
      failure: 'Failed to leave spectator',
      notFound,
      async handle({ params }, { caller, idempotencyKey, options }) {
        return outcome(
          await game.leaveSpectator({ ...params, userId: caller.subject, idempotencyKey }, options),
        )
      },
    }),
    route({
      ...bare,
      method: 'post',
      path: '/api/tables/:tableId/action',
      summary: 'Act in the current hand.',
      answer: answers.ok,
      examples: [
        {
          summary: 'Call',
          status: 200,
          params: { tableId: exampleIds.tableId },
          body: { actionType: 'CALL' },
        },
        {
          summary: 'A bet without an amount',
          status: 400,
          params: { tableId: exampleIds.tableId },
          body: { actionType: 'BET' },
        },
      ],
      body: newAction,
      failure: 'Failed to submit action',
      notFound,
      async handle({ params, body }, { caller, idempotencyKey, options }) {
        const amount = body.amount === undefined ? {} : { amount: BigInt(body.amount) }
        const request = {
          ...params,
          userId: caller.subject,
          actionType: body.actionType,
          ...amount,
          idempotencyKey,
        }
        return outcome(await game.submitAction(request, options))
      },
    }),
  ]
}
