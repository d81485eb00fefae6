import type { MessageInitShape } from '@bufbuild/protobuf'
import { type Timestamp, timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt'
import type { EventService, GameEventSchema, HandRecordSchema } from '../gen/event/event_pb.ts'
import type { Handlers } from '../grpc/grpc-server.ts'
import type { IdempotencyCache } from '../idempotency.ts'
import { PlatformError, requireText } from '../platform-error.ts'
import type { EventLog, LoggedEvent } from './event-log.ts'
import type { FinishedHand } from './hand-record.ts'

const gameTypes: readonly string[] = (
  'HAND_STARTED CARDS_DEALT BLIND_POSTED ACTION_TAKEN STREET_ADVANCED CARDS_REVEALED SHOWDOWN POT_AWARDED ' +
  'HAND_COMPLETED PLAYER_JOINED PLAYER_LEFT PLAYER_SAT_OUT PLAYER_SAT_IN TABLE_CREATED TABLE_CLOSED TURN_STARTED ' +
  'RAKE_DEDUCTED BONUS_ISSUED REFERRAL_ISSUED'
).split(' ')
const sessionTypes: readonly string[] = ['SESSION_STARTED', 'SESSION_ENDED']
const dayMs = 86_400_000

export interface EventServiceOptions {
  readonly log: EventLog
  readonly idempotency: IdempotencyCache
  /** Also take SESSION_STARTED and SESSION_ENDED, which the platform's own Event service refuses. */
  readonly acceptSessions: boolean
  /** Nicknames for hand records. */
  readonly nicknameOf: (userId: string) => string
}

/** event.EventService: the audit log. Unknown types are refused with INVALID_ARGUMENT `Unknown event type: X`. */
export function createEventService(options: EventServiceOptions): Handlers<typeof EventService> {
  const { log, idempotency } = options
  const known = new Set(options.acceptSessions ? [...gameTypes, ...sessionTypes] : gameTypes)
  return {
    publishEvent: (request) => {
      if (!known.has(request.type))
        throw new PlatformError('INVALID_ARGUMENT', `Unknown event type: ${request.type.slice(0, 64)}`)
      const { type, handId, userId, seatId, payload = {} } = request
      return idempotency.once({
        rpc: 'PublishEvent',
        key: request.idempotencyKey,
        ttlMs: dayMs,
        run: () => {
          const tableId = requireText(request.tableId, 'table_id is required')
          const { eventId } = log.append({ type, tableId, handId, userId, seatId, payload })
          return { success: true, eventId }
        },
      })
    },
    queryEvents: (request) => {
      const page = log.query({
        tableId: request.tableId,
        handId: request.handId,
        userId: request.userId,
        types: request.types,
        from: milliseconds(request.startTime),
        to: milliseconds(request.endTime),
        ...pageOf(request, 50),
        before: request.cursor === undefined ? undefined : decodeCursor(request.cursor),
      })
      const { total, hasMore, next } = page
      const cursor = next === undefined ? {} : { nextCursor: encodeCursor(next) }
      return { events: page.events.map(toGameEvent), total, hasMore, ...cursor }
    },
    getEvent: ({ eventId }) => {
      const event = log.get(requireText(eventId, 'event_id is required'))
      if (!event) throw new PlatformError('NOT_FOUND', 'Event not found')
      return toGameEvent(event)
    },
    getHandRecord: ({ handId, requesterId }) => {
      const hand = log.hand(requireText(handId, 'hand_id is required'))
      if (!hand) throw new PlatformError('NOT_FOUND', 'Hand record not found')
      return toHandRecord(hand, requesterId, options.nicknameOf)
    },
    getHandHistory: (request) => {
      const hands = log.hands({ tableId: requireText(request.tableId, 'table_id is required') })
      return pageOfHands(hands, request, (hand) =>
        toHandRecord(hand, request.requesterId, options.nicknameOf),
      )
    },
    getHandsForUser: (request) => {
      const userId = requireText(request.userId, 'user_id is required')
      const hands = log.hands({ userId })
      return pageOfHands(hands, request, (hand) => toHandRecord(hand, userId, options.nicknameOf))
    },
    getHandReplay: ({ handId }) => ({
      handId: requireText(handId, 'hand_id is required'),
      events: log.replay(handId).map(toGameEvent),
    }),
  }
}

function pageOfHands<T>(
  hands: readonly FinishedHand[],
  request: { readonly limit: number; readonly offset: number },
  convert: (hand: FinishedHand) => T,
): { hands: T[]; total: number } {
  const { limit, offset } = pageOf(request, 20)
  return { hands: hands.slice(offset, offset + limit).map(convert), total: hands.length }
}

function pageOf(request: { readonly limit: number; readonly offset: number }, defaultLimit: number) {
  if (request.limit < 0) throw new PlatformError('INVALID_ARGUMENT', 'Invalid limit')
  if (request.offset < 0) throw new PlatformError('INVALID_ARGUMENT', 'Invalid offset')
  return { limit: Math.min(request.limit || defaultLimit, 500), offset: request.offset }
}

function milliseconds(time: Timestamp | undefined): number | undefined {
  return time && timestampMs(time)
}

function encodeCursor(place: number): string {
  return Buffer.from(String(place)).toString('base64')
}

function decodeCursor(cursor: string): number {
  const text = Buffer.from(cursor, 'base64').toString()
  if (!/^\d{1,15}$/.test(text)) throw new PlatformError('INVALID_ARGUMENT', 'Invalid cursor')
  return Number(text)
}

function toGameEvent(event: LoggedEvent): MessageInitShape<typeof GameEventSchema> {
  const { eventId, type, tableId, payload, sequence, handId, userId, seatId } = event
  return {
    eventId,
    type,
    tableId,
    payload,
    sequence,
    timestamp: timestampFromMs(event.at),
    ...(handId === undefined ? {} : { handId }),
    ...(userId === undefined ? {} : { userId }),
    ...(seatId === undefined ? {} : { seatId }),
  }
}

/** Hole cards are given to their owner, and to all when they were shown. */
function toHandRecord(
  hand: FinishedHand,
  requesterId: string | undefined,
  nicknameOf: (userId: string) => string,
): MessageInitShape<typeof HandRecordSchema> {
  const { smallBlind, bigBlind, ante } = hand.config
  return {
    handId: hand.handId,
    tableId: hand.tableId,
    tableName: hand.tableName,
    config: { smallBlind: BigInt(smallBlind), bigBlind: BigInt(bigBlind), ante: BigInt(ante) },
    participants: hand.participants.map((participant) => ({
      seatId: participant.seatId,
      userId: participant.userId,
      nickname: nicknameOf(participant.userId),
      startingStack: BigInt(participant.startingStack),
      endingStack: BigInt(participant.endingStack),
      holeCards: participant.wasShown || participant.userId === requesterId ? participant.holeCards : [],
      actions: participant.actions.map(({ street, action, amount, at }) => ({
        street,
        action,
        amount: BigInt(amount),
        timestamp: timestampFromMs(at),
      })),
      result: participant.result,
    })),
    communityCards: hand.communityCards,
    pots: hand.pots.map((pot) => ({ amount: BigInt(pot.amount), winners: pot.winners })),
    winners: hand.winners.map((winner) => ({ userId: winner.userId, amount: BigInt(winner.amount) })),
    startedAt: timestampFromMs(hand.startedAt),
    completedAt: timestampFromMs(hand.completedAt),
    durationMs: BigInt(hand.completedAt - hand.startedAt),
  }
}
