/** What a table's owner may do to others: kick and mute, by seat or by user; Game checks who owns the table. */
import { limits } from '@gw/protocol'
import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import { GatewayError } from '../../errors.ts'
import type { Backends } from '../../grpc/backends.ts'
import { TableStateSchema } from '../../grpc/gen/game/game_pb.ts'
import { relayJson } from '../../grpc/relay-json.ts'
import { type MountableRoute, route, type RouteCall } from '../route.ts'
import { answers, exampleIds } from './answers.ts'
import { id, nothing, seatId, tableParams } from './inputs.ts'

/** The moderation routes of contract §1.2. */
export function moderationRoutes(game: Backends['game']): readonly MountableRoute[] {
  /** Who sat there when a request with a key came first: a repeat to this instance is about the same one, not about who has sat down since. */
  const meant = new LRUCache<string, string>({ max: 10_000, ttl: limits.idempotencyMs })

  async function userAt(tableId: string, seat: number, call: RouteCall): Promise<string> {
    const isKeyed = Boolean(call.request.get('idempotency-key')?.trim())
    const request = JSON.stringify([call.idempotencyKey, tableId, seat])
    const known = meant.get(request)
    if (known !== undefined) return known
    const { state } = await game.getTableState({ tableId, userId: call.caller.subject }, call.options)
    const userId = state?.seats.find((candidate) => candidate.seatId === seat)?.userId
    if (userId === undefined) throw new GatewayError('not_found', 'Seat not occupied')
    if (isKeyed) meant.set(request, userId)
    return userId
  }

  const seatTarget = {
    params: tableParams,
    query: nothing,
    body: z.object({ seatId }),
    invalid: 'seatId is required',
  }
  const userTarget = {
    params: tableParams,
    query: nothing,
    body: z.object({ targetUserId: id }),
    invalid: 'targetUserId is required',
  }
  const notFound = 'Table not found'
  const moderate = { kick: game.kickPlayer, mute: game.mutePlayer, unmute: game.unmutePlayer }
  const byOwner = (tableId: string, targetUserId: string, call: RouteCall) => ({
    tableId,
    ownerId: call.caller.subject,
    targetUserId,
    idempotencyKey: call.idempotencyKey,
  })

  return [
    route({
      ...seatTarget,
      method: 'post',
      path: '/api/tables/:tableId/moderation/kick',
      summary: 'Owner: remove the player in a seat.',
      answer: answers.kicked,
      examples: [
        { summary: 'Seat 1', status: 200, params: { tableId: exampleIds.tableId }, body: { seatId: 1 } },
        {
          summary: 'An empty seat',
          status: 404,
          params: { tableId: exampleIds.tableId },
          body: { seatId: 8 },
        },
      ],
      failure: 'Failed to kick player',
      notFound,
      async handle({ params: { tableId }, body: { seatId: seat } }, call) {
        const userId = await userAt(tableId, seat, call)
        await moderate.kick(byOwner(tableId, userId, call), call.options)
        const { state } = await game.getTableState({ tableId, userId: call.caller.subject }, call.options)
        const tableState = state ? relayJson(TableStateSchema, state) : null
        return { status: 200, body: { tableId, seatId: seat, userId, action: 'kick', tableState } }
      },
    }),
    route({
      ...seatTarget,
      method: 'post',
      path: '/api/tables/:tableId/moderation/mute',
      summary: 'Owner: mute the player in a seat.',
      answer: answers.muted,
      examples: [
        { summary: 'Seat 1', status: 200, params: { tableId: exampleIds.tableId }, body: { seatId: 1 } },
      ],
      failure: 'Failed to mute player',
      notFound,
      async handle({ params: { tableId }, body: { seatId: seat } }, call) {
        const userId = await userAt(tableId, seat, call)
        await moderate.mute(byOwner(tableId, userId, call), call.options)
        return { status: 200, body: { tableId, seatId: seat, userId, action: 'mute' } }
      },
    }),
    ...(['kick', 'mute', 'unmute'] as const).map((word) =>
      route({
        ...userTarget,
        method: 'post',
        path: `/api/tables/:tableId/${word}`,
        summary: `Owner: ${word} a user.`,
        answer: answers.ok,
        examples: [
          {
            summary: 'A player',
            status: 200,
            params: { tableId: exampleIds.tableId },
            body: { targetUserId: exampleIds.friendId },
          },
          { summary: 'Nobody', status: 400, params: { tableId: exampleIds.tableId }, body: {} },
        ],
        failure: `Failed to ${word} player`,
        notFound,
        async handle({ params: { tableId }, body: { targetUserId } }, call) {
          await moderate[word](byOwner(tableId, targetUserId, call), call.options)
          return { status: 200, body: { ok: true } }
        },
      }),
    ),
  ]
}
