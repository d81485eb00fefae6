import { randomUUID } from 'node:crypto'
import type { JsonObject } from '@bufbuild/protobuf'
import type { Clock } from '../clock.ts'
import { type FinishedHand, finishedHandSchema } from './hand-record.ts'

/** What happened. `sequence` counts a hand's events from 1; events outside a hand have 0. */
export interface LoggedEvent {
  readonly eventId: string
  readonly type: string
  readonly tableId: string
  readonly handId?: string | undefined
  readonly userId?: string | undefined
  readonly seatId?: number | undefined
  readonly payload: JsonObject
  /** Milliseconds since 1970. */
  readonly at: number
  readonly sequence: number
}

/** An event as it is reported, before it has a place in the log. */
export type NewEvent = Omit<LoggedEvent, 'eventId' | 'at' | 'sequence'>

/** Filters are joined by AND; an absent one lets all pass. Times in ms since 1970, both included. */
export interface EventQuery {
  readonly tableId?: string | undefined
  readonly handId?: string | undefined
  readonly userId?: string | undefined
  readonly types: readonly string[]
  readonly from?: number | undefined
  readonly to?: number | undefined
  readonly limit: number
  readonly offset: number
  /** From a previous answer: only events before it. */
  readonly before?: number | undefined
}

export interface EventPage {
  readonly events: readonly LoggedEvent[]
  readonly total: number
  readonly hasMore: boolean
  /** Pass as `before` to read on; stable while new events arrive. */
  readonly next?: number | undefined
}

export interface EventLogOptions {
  readonly clock: Clock
  readonly onHandFinished?: (hand: FinishedHand) => void
  /** The oldest are dropped. Defaults 50 000 and 5000. */
  readonly maxEvents?: number
  readonly maxHands?: number
}

/** The audit log in memory; HAND_COMPLETED also makes a hand record. */
export class EventLog {
  readonly #events: { readonly place: number; readonly event: LoggedEvent }[] = []
  readonly #hands = new Map<string, FinishedHand>()
  readonly #sequences = new Map<string, number>()
  readonly #options: EventLogOptions
  #nextPlace = 0

  constructor(options: EventLogOptions) {
    this.#options = options
  }

  append(event: NewEvent): LoggedEvent {
    const { record, ...payload } = event.payload
    const logged = {
      ...event,
      // The record has everybody's hole cards: it is read through GetHandRecord, which knows who asks.
      payload,
      eventId: randomUUID(),
      at: this.#options.clock.now(),
      sequence: event.handId === undefined ? 0 : this.#nextSequence(event.handId),
    }
    this.#events.push({ place: this.#nextPlace++, event: logged })
    if (this.#events.length > (this.#options.maxEvents ?? 50_000)) this.#events.shift()
    if (event.type === 'HAND_COMPLETED') this.#keepHand(record)
    return logged
  }

  get(eventId: string): LoggedEvent | undefined {
    return this.#events.find(({ event }) => event.eventId === eventId)?.event
  }

  /** Newest first. */
  query(query: EventQuery): EventPage {
    const before = query.before ?? Number.POSITIVE_INFINITY
    const all = this.#events.filter(({ event }) => matches(event, query)).toReversed()
    const rest = all.filter(({ place }) => place < before).slice(query.offset)
    const page = rest.slice(0, query.limit)
    const hasMore = rest.length > page.length
    return {
      events: page.map(({ event }) => event),
      total: all.length,
      hasMore,
      next: hasMore ? page.at(-1)?.place : undefined,
    }
  }

  /** A hand's events in the order in which they happened. */
  replay(handId: string): LoggedEvent[] {
    return this.#events.flatMap(({ event }) => (event.handId === handId ? event : []))
  }

  hand(handId: string): FinishedHand | undefined {
    return this.#hands.get(handId)
  }

  /** Newest first. */
  hands(filter: { readonly tableId?: string; readonly userId?: string }): FinishedHand[] {
    return [...this.#hands.values()].toReversed().filter((hand) => {
      const isMember = hand.participants.some(({ userId }) => userId === (filter.userId ?? userId))
      return hand.tableId === (filter.tableId ?? hand.tableId) && isMember
    })
  }

  #keepHand(record: unknown): void {
    const parsed = finishedHandSchema.safeParse(record)
    if (!parsed.success) return
    const isNew = !this.#hands.has(parsed.data.handId)
    this.#hands.set(parsed.data.handId, parsed.data)
    this.#trim(this.#hands)
    if (isNew) this.#options.onHandFinished?.(parsed.data)
  }

  #nextSequence(handId: string): number {
    const sequence = (this.#sequences.get(handId) ?? 0) + 1
    this.#sequences.set(handId, sequence)
    this.#trim(this.#sequences)
    return sequence
  }

  #trim(map: Map<string, unknown>): void {
    const [oldest] = map.keys()
    if (oldest !== undefined && map.size > (this.#options.maxHands ?? 5000)) map.delete(oldest)
  }
}

function matches(event: LoggedEvent, query: EventQuery): boolean {
  return (
    event.tableId === (query.tableId ?? event.tableId) &&
    event.handId === (query.handId ?? event.handId) &&
    event.userId === (query.userId ?? event.userId) &&
    (query.types.length === 0 || query.types.includes(event.type)) &&
    event.at >= (query.from ?? 0) &&
    event.at <= (query.to ?? Number.POSITIVE_INFINITY)
  )
}
