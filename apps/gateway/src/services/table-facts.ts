/** What the gateway itself reads of a table's update: parsed once per message, however many sockets get it. */
import type { ChannelMessage } from '@gw/pubsub'
import { z } from 'zod'

/** Whose turn it is; `key` changes whenever the clock starts anew (contract §9). */
export interface Turn {
  readonly key: string
  readonly handId: string
  readonly seat: number
  readonly deadlineTs: string
}

export interface TableFacts {
  readonly version: number
  /** Of the hand in play, also of one that has just ended. */
  readonly handId: string | undefined
  readonly turn: Turn | undefined
  /** Users with a seat. */
  readonly seated: ReadonlySet<string>
  readonly spectators: ReadonlySet<string>
  /** How often each user has acted in the hand. */
  readonly acted: ReadonlyMap<string, number>
}

/** As much of a table's state as facts are made of; both producers' shapes fit (contract §2.5). */
export interface FactsSource {
  readonly version: number
  readonly updatedAt?: string | undefined
  readonly config?: { readonly turnTimerSeconds: number } | undefined
  readonly hand?:
    | {
        readonly handId: string
        readonly street: string
        readonly turn: number
        readonly endedAt?: string | null | undefined
        readonly actions: readonly { readonly userId?: string | null | undefined }[]
      }
    | null
    | undefined
  readonly seats: readonly { readonly userId?: string | null | undefined }[]
  readonly spectators: readonly { readonly userId: string }[]
}

const snapshot: z.ZodType<{ readonly tableState: FactsSource }> = z.object({
  type: z.literal('TableSnapshot'),
  tableState: z.object({
    version: z.number(),
    updatedAt: z.string().optional(),
    config: z.object({ turnTimerSeconds: z.number() }).optional(),
    hand: z
      .object({
        handId: z.string(),
        street: z.string(),
        turn: z.int(),
        endedAt: z.string().nullish(),
        actions: z.array(z.object({ userId: z.string().nullish() })),
      })
      .nullish(),
    seats: z.array(z.object({ userId: z.string().nullish() })).default([]),
    spectators: z.array(z.object({ userId: z.string() })).default([]),
  }),
})

function turnOf({ hand, updatedAt, config }: FactsSource): Turn | undefined {
  if (!hand || hand.endedAt || hand.street === 'SHOWDOWN' || hand.turn < 0) return undefined
  const begun = Date.parse(updatedAt ?? '')
  if (Number.isNaN(begun) || !config) return undefined
  const { handId, turn, street, actions } = hand
  const deadlineTs = new Date(begun + config.turnTimerSeconds * 1000).toISOString()
  return { key: `${handId} ${turn} ${street} ${actions.length}`, handId, seat: turn, deadlineTs }
}

/** The facts of a state. */
export function factsOf(state: FactsSource): TableFacts {
  return {
    version: state.version,
    handId: state.hand?.handId,
    turn: turnOf(state),
    seated: new Set(state.seats.flatMap(({ userId }) => userId ?? [])),
    spectators: new Set(state.spectators.map(({ userId }) => userId)),
    acted: countBy(state.hand?.actions.flatMap(({ userId }) => userId ?? []) ?? []),
  }
}

function countBy(userIds: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const userId of userIds) counts.set(userId, (counts.get(userId) ?? 0) + 1)
  return counts
}

const parsed = new WeakMap<ChannelMessage, { readonly facts: TableFacts | undefined }>()

function parse(message: ChannelMessage): TableFacts | undefined {
  try {
    const result = snapshot.safeParse(JSON.parse(message.data.toString()))
    return result.success ? factsOf(result.data.tableState) : undefined
  } catch {
    return undefined
  }
}

/** The facts of a TableSnapshot message; undefined for any other message. */
export function tableFactsOf(message: ChannelMessage): TableFacts | undefined {
  const known = parsed.get(message)
  if (known) return known.facts
  const facts = parse(message)
  parsed.set(message, { facts })
  return facts
}
