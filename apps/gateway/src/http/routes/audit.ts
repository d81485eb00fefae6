/**
 * `/api/audit`: events and hand histories, relayed to Event. Everyone sees their own; a table's owner all of the table;
 * an admin everything. What may not be seen is answered as if it weren't there.
 */
import { timestampFromDate } from '@bufbuild/protobuf/wkt'
import type { Identity } from '@gw/auth'
import { z } from 'zod'
import { GatewayError } from '../../errors.ts'
import type { Backends } from '../../grpc/backends.ts'
import { GameEventSchema, HandRecordSchema } from '../../grpc/gen/event/event_pb.ts'
import { relayJson } from '../../grpc/relay-json.ts'
import { type MountableRoute, route, type RouteCall } from '../route.ts'
import { answers, exampleIds } from './answers.ts'
import { id, nothing } from './inputs.ts'

const count = z
  .string()
  .regex(/^\d{1,9}$/)
  .transform(Number)
const limit = z
  .string()
  .regex(/^\d{1,15}$/)
  .describe('More than 500 is 500.')
  .transform(Number)
  .pipe(z.int().min(1))
  .transform((asked) => Math.min(asked, 500))
/** The years 1 to 9999: what a protobuf Timestamp holds. */
const timestampRange = {
  fromMs: Date.parse('0001-01-01T00:00:00Z'),
  toMs: Date.parse('9999-12-31T23:59:59.999Z'),
}
const date = z
  .string()
  .refine((text) => Date.parse(text) >= timestampRange.fromMs && Date.parse(text) <= timestampRange.toMs)
  .transform((text) => timestampFromDate(new Date(text)))

const eventQuery = z.object({
  tableId: id.optional(),
  handId: id.optional(),
  userId: id.optional(),
  types: z
    .string()
    .transform((text) =>
      text
        .split(',')
        .map((type) => type.trim())
        .filter((type) => type !== ''),
    )
    .default([]),
  startTime: date.optional(),
  endTime: date.optional(),
  limit: limit.default(50),
  offset: count.default(0),
  cursor: z.string().min(1).max(512).optional(),
})

const page = z.object({ limit: limit.default(20), offset: count.default(0) })

function isAdmin({ claims, roles, scopes }: Identity): boolean {
  return Boolean(claims['admin']) || roles.includes('admin') || scopes.includes('admin')
}

/** Protobuf optionals are set or left out, never undefined. */
function present<T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const set = Object.entries(fields).filter(([, value]) => value !== undefined)
  return Object.fromEntries(set) as { [K in keyof T]: Exclude<T[K], undefined> }
}

/** The routes of contract §1.2 under `/api/audit`. */
export function auditRoutes({ event, game }: Pick<Backends, 'event' | 'game'>): readonly MountableRoute[] {
  async function ownsTable(tableId: string, call: RouteCall): Promise<boolean> {
    try {
      return (await game.getTable({ tableId }, call.options)).ownerId === call.caller.subject
    } catch (error) {
      if (error instanceof GatewayError && error.code === 'not_found') return false
      throw error
    }
  }

  async function seesTable(tableId: string, call: RouteCall): Promise<boolean> {
    return isAdmin(call.caller) || (await ownsTable(tableId, call))
  }

  /** Whose events a query may return: anyone's for who sees the whole table, else only the caller's own. */
  async function scopeOf(query: z.output<typeof eventQuery>, call: RouteCall): Promise<string | undefined> {
    const { subject } = call.caller
    if (query.userId === subject || isAdmin(call.caller)) return query.userId
    if (query.tableId !== undefined && (await ownsTable(query.tableId, call))) return query.userId
    if (query.userId !== undefined) throw new GatewayError('forbidden')
    return subject
  }

  async function handsOf(userId: string, { limit: most, offset }: z.output<typeof page>, call: RouteCall) {
    const { hands, total } = await event.getHandsForUser({ userId, limit: most, offset }, call.options)
    return { status: 200, body: { hands: hands.map((hand) => relayJson(HandRecordSchema, hand)), total } }
  }

  const bare = {
    method: 'get',
    params: nothing,
    query: nothing,
    body: nothing,
    invalid: 'Invalid request',
  } as const
  const paged = { ...bare, query: page, invalid: (member: string) => `Invalid ${member}` }
  return [
    route({
      ...bare,
      path: '/api/audit/events',
      summary: "Events: the caller's own, a whole table's for its owner, all for an admin.",
      answer: answers.events,
      examples: [
        { summary: 'One’s own', status: 200, query: { limit: 10 } },
        {
          summary: 'Of a table, by its owner',
          status: 200,
          query: {
            tableId: exampleIds.tableId,
            types: 'PLAYER_JOINED,ACTION_TAKEN',
            startTime: '2020-01-01T00:00:00Z',
          },
        },
        { summary: 'A number that is none', status: 400, query: { limit: 'ten' } },
        { summary: 'Somebody else’s', status: 403, query: { userId: 'somebody' } },
      ],
      query: eventQuery,
      invalid: (member) => `Invalid ${member}`,
      failure: 'Failed to query events',
      async handle({ query }, call) {
        const userId = await scopeOf(query, call)
        const found = await event.queryEvents(present({ ...query, userId }), call.options)
        return {
          status: 200,
          body: {
            events: found.events.map((item) => relayJson(GameEventSchema, item)),
            total: found.total,
            hasMore: found.hasMore,
            ...(found.nextCursor !== undefined && { nextCursor: found.nextCursor }),
          },
        }
      },
    }),
    route({
      ...bare,
      path: '/api/audit/events/:eventId',
      summary: 'One event.',
      answer: answers.event,
      examples: [
        { summary: 'An event', status: 200, params: { eventId: exampleIds.eventId } },
        { summary: 'No such event', status: 404, params: { eventId: 'none' } },
      ],
      params: z.object({ eventId: id }),
      failure: 'Failed to get event',
      notFound: 'Event not found',
      async handle({ params }, call) {
        const found = await event.getEvent(params, call.options)
        if (found.userId !== call.caller.subject && !(await seesTable(found.tableId, call)))
          throw new GatewayError('not_found', 'Event not found')
        return { status: 200, body: relayJson(GameEventSchema, found) }
      },
    }),
    route({
      ...bare,
      path: '/api/audit/hands/:handId',
      summary: 'The record of a hand, as the caller may see it.',
      answer: answers.hand,
      examples: [
        { summary: 'A hand', status: 200, params: { handId: exampleIds.handId } },
        { summary: 'No such hand', status: 404, params: { handId: 'none' } },
      ],
      params: z.object({ handId: id }),
      failure: 'Failed to get hand',
      notFound: 'Hand not found',
      async handle({ params }, call) {
        const hand = await event.getHandRecord({ ...params, requesterId: call.caller.subject }, call.options)
        return { status: 200, body: relayJson(HandRecordSchema, hand) }
      },
    }),
    route({
      ...bare,
      path: '/api/audit/hands/:handId/replay',
      summary: 'The events of a hand, as the caller may see them.',
      answer: answers.replay,
      examples: [{ summary: 'A hand', status: 200, params: { handId: exampleIds.handId } }],
      params: z.object({ handId: id }),
      failure: 'Failed to get hand replay',
      notFound: 'Hand not found',
      async handle({ params }, call) {
        const replay = await event.getHandReplay(
          { ...params, requesterId: call.caller.subject },
          call.options,
        )
        const events = replay.events.map((item) => relayJson(GameEventSchema, item))
        return { status: 200, body: { handId: replay.handId, events } }
      },
    }),
    route({
      ...paged,
      path: '/api/audit/tables/:tableId/hands',
      summary: 'Hands of a table: for its owner, or an admin.',
      answer: answers.hands,
      examples: [
        {
          summary: 'The newest ten',
          status: 200,
          params: { tableId: exampleIds.tableId },
          query: { limit: 10 },
        },
      ],
      params: z.object({ tableId: id }),
      failure: 'Failed to get hand history',
      async handle({ params: { tableId }, query }, call) {
        if (!(await seesTable(tableId, call))) throw new GatewayError('forbidden')
        const requesterId = call.caller.subject
        const { hands, total } = await event.getHandHistory({ tableId, ...query, requesterId }, call.options)
        return { status: 200, body: { hands: hands.map((hand) => relayJson(HandRecordSchema, hand)), total } }
      },
    }),
    route({
      ...paged,
      path: '/api/audit/users/:userId/hands',
      summary: "Hands of a user: one's own, or anyone's for an admin.",
      answer: answers.hands,
      examples: [{ summary: 'Somebody else’s', status: 403, params: { userId: 'somebody' } }],
      params: z.object({ userId: id }),
      failure: 'Failed to get hand history',
      handle({ params: { userId }, query }, call) {
        if (userId !== call.caller.subject && !isAdmin(call.caller)) throw new GatewayError('forbidden')
        return handsOf(userId, query, call)
      },
    }),
    route({
      ...paged,
      path: '/api/audit/my-hands',
      summary: "The caller's own hands.",
      answer: answers.hands,
      examples: [{ summary: 'The newest ten', status: 200, query: { limit: 10 } }],
      failure: 'Failed to get hand history',
      handle: ({ query }, call) => handsOf(call.caller.subject, query, call),
    }),
  ]
}
