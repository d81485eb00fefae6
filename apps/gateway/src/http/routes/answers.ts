/** The shapes of answers that no protobuf message has. Only the API document, and the tests that hold answers against it, use them. */
import { z } from 'zod'
import { relayShape } from '../../grpc/relay-shape.ts'
import { GameEventSchema, HandRecordSchema } from '../../grpc/gen/event/event_pb.ts'
import {
  GetTableStateResponseSchema,
  TableSchema,
  TableStateSchema,
  TableSummarySchema,
} from '../../grpc/gen/game/game_pb.ts'
import { NicknameSchema, StatisticsSchema } from '../../grpc/gen/player/player_pb.ts'

const ok = z.object({ ok: z.literal(true) })
const ids = z.array(z.string())
const publicProfile = z.object({
  userId: z.string(),
  username: z.string(),
  nickname: z.string(),
  avatarUrl: z.string().nullable(),
})
const hands = z.object({ hands: z.array(relayShape(HandRecordSchema)), total: z.int() })

/** Error bodies of every route; with `Accept: application/problem+json` the members of RFC 9457 beside these. */
export const errorShape = z
  .looseObject({
    error: z.string().describe('The same text as `message`, for older clients; of Balance, its code.'),
    code: z.string().optional().describe('Stable word: docs/http.md, or a backend’s own in capitals.'),
    message: z.string(),
    requestId: z.string().optional(),
    traceId: z.string().optional(),
  })
  .meta({ title: 'Error' })

/** What the limiter says instead: without `error`, as clients have always had it. */
export const limitShape = z
  .looseObject({
    code: z.enum(['RATE_LIMITED', 'SERVICE_UNAVAILABLE']),
    message: z.string(),
    requestId: z.string().optional(),
    traceId: z.string().optional(),
  })
  .meta({ title: 'LimitRefusal' })

const tables = z.array(relayShape(TableSummarySchema))

/** `answer` of routes, by what they answer. */
export const answers = {
  ok: { status: 200, body: ok },
  created: { status: 201, body: ok },
  nothing: { status: 204 },
  tables: { status: 200, body: tables },
  table: { status: 200, body: relayShape(TableSchema) },
  newTable: { status: 201, body: relayShape(TableSchema) },
  tableState: { status: 200, body: relayShape(GetTableStateResponseSchema) },
  joined: {
    status: 200,
    body: z.object({ tableId: z.string(), seatId: z.int(), wsUrl: z.string() }).meta({ title: 'Joined' }),
  },
  kicked: {
    status: 200,
    body: z.object({
      tableId: z.string(),
      seatId: z.int(),
      userId: z.string(),
      action: z.literal('kick'),
      tableState: relayShape(TableStateSchema).nullable(),
    }),
  },
  muted: {
    status: 200,
    body: z.object({ tableId: z.string(), seatId: z.int(), userId: z.string(), action: z.literal('mute') }),
  },
  me: {
    status: 200,
    body: publicProfile
      .extend({ stats: z.object({ handsPlayed: z.int(), wins: z.int() }), friends: ids })
      .meta({ title: 'Me' }),
  },
  statistics: { status: 200, body: relayShape(StatisticsSchema) },
  profile: { status: 200, body: publicProfile.meta({ title: 'PublicProfile' }) },
  friends: { status: 200, body: z.object({ friends: ids }) },
  nicknames: { status: 200, body: z.object({ nicknames: z.array(relayShape(NicknameSchema)) }) },
  publicKey: { status: 200, body: z.object({ publicKey: z.string() }) },
  events: {
    status: 200,
    body: z.object({
      events: z.array(relayShape(GameEventSchema)),
      total: z.int(),
      hasMore: z.boolean(),
      nextCursor: z.string().optional(),
    }),
  },
  event: { status: 200, body: relayShape(GameEventSchema) },
  hand: { status: 200, body: relayShape(HandRecordSchema) },
  replay: {
    status: 200,
    body: z.object({ handId: z.string(), events: z.array(relayShape(GameEventSchema)) }),
  },
  hands: { status: 200, body: hands },
} as const

/** Ids in examples; the tests put real ones in their place. */
export const exampleIds = {
  tableId: '5d0f3c3e-6a3b-4c0e-9d57-1f2f8f2f7a11',
  handId: '9b2d7a54-0c1e-4b57-8a55-3c1f0e6d2b22',
  eventId: 'c7e1b2a0-4f6d-4e0b-9a3c-7d8e9f0a1b33',
  friendId: 'ben',
} as const
