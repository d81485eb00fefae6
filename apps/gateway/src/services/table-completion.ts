/**
 * Completes the snapshots that Game publishes with what its broadcast leaves out and legal actions need
 * (`roundContributions actedSeats raiseCapped bigBlind`), before they enter the channel's log: so live messages, missed
 * ones and every instance's are the same bytes, and nothing is asked for once per socket.
 *
 *   update v ▶ ask Game for the state ─ in time, and of version v ▶ merged ┐
 *              └─────────────────────── late, failed, another version ▶ as is ┴▶ published in the order heard
 */
import { parseChannel } from '@gw/protocol'
import type { Broker } from '@gw/pubsub'
import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import type { Backends } from '../grpc/backends.ts'

export interface TableCompletionOptions {
  readonly publish: Broker['publish']
  readonly game: Pick<Backends['game'], 'getTableState'>
  /** Longest wait for Game, in ms. Default 250. */
  readonly waitMs?: number
  /** Snapshots of one table that may wait; more go out as they are. Default 8. */
  readonly maxWaiting?: number
}

const fields = ['roundContributions', 'actedSeats', 'raiseCapped', 'bigBlind'] as const

const incomplete = z.looseObject({
  type: z.literal('TableSnapshot'),
  tableState: z.looseObject({
    version: z.int(),
    hand: z.looseObject({ handId: z.string(), endedAt: z.string().nullish() }),
  }),
})

type Snapshot = z.output<typeof incomplete>

interface Completion {
  readonly version: number
  readonly handId: string
  readonly missing: Readonly<Record<(typeof fields)[number], unknown>>
}

/** A running hand's snapshot that lacks something; undefined for everything else. */
function parseIncomplete(data: Buffer | string): Snapshot | undefined {
  try {
    const parsed = incomplete.safeParse(JSON.parse(data.toString()))
    if (!parsed.success) return undefined
    const { hand } = parsed.data.tableState
    return hand.endedAt || fields.every((field) => Object.hasOwn(hand, field)) ? undefined : parsed.data
  } catch {
    return undefined
  }
}

function merged(snapshot: Snapshot, { missing }: Completion): string {
  const { tableState } = snapshot
  return JSON.stringify({
    ...snapshot,
    tableState: { ...tableState, hand: { ...missing, ...tableState.hand } },
  })
}

/** A publish that completes snapshots of tables and passes everything else through, in order for each channel. */
export function createTableCompletion(options: TableCompletionOptions): Broker['publish'] {
  const { publish, game, waitMs = 250, maxWaiting = 8 } = options
  const known = new LRUCache<string, Completion>({ max: 10_000 })
  const asking = new Map<string, Promise<void>>()
  const queues = new Map<string, { tail: Promise<unknown>; length: number }>()

  /** One question at a time for each table; its answer serves every snapshot of that version. */
  function ask(tableId: string): Promise<void> {
    const running = asking.get(tableId)
    if (running) return running
    const question = game
      .getTableState({ tableId })
      .then(({ state }) => {
        const hand = state?.hand
        if (!state || !hand) return
        const missing = {
          roundContributions: Object.fromEntries(
            Object.entries(hand.roundContributions).map(([seat, amount]) => [seat, Number(amount)]),
          ),
          actedSeats: hand.actedSeats,
          raiseCapped: hand.raiseCapped,
          bigBlind: Number(hand.bigBlind),
        }
        known.set(tableId, { version: state.version, handId: hand.handId, missing })
      })
      // Then it goes out as it is; the call is counted where calls are.
      .catch(() => {})
      .finally(() => asking.delete(tableId))
    asking.set(tableId, question)
    return question
  }

  function completionOf(tableId: string, { tableState }: Snapshot): Completion | undefined {
    const found = known.get(tableId)
    return found?.version === tableState.version && found.handId === tableState.hand.handId
      ? found
      : undefined
  }

  async function complete(tableId: string, snapshot: Snapshot): Promise<string | undefined> {
    if (!completionOf(tableId, snapshot)) {
      const { promise: late, resolve } = Promise.withResolvers<void>()
      const timer = setTimeout(resolve, waitMs)
      const running = asking.get(tableId)
      // A question that was under way may be older than this snapshot: then one more.
      const answered = running
        ? running.then(() => (completionOf(tableId, snapshot) ? undefined : ask(tableId)))
        : ask(tableId)
      await Promise.race([answered, late])
      clearTimeout(timer)
    }
    const completion = completionOf(tableId, snapshot)
    return completion && merged(snapshot, completion)
  }

  return (channel, data, publishOptions) => {
    const named = parseChannel(channel)
    if (named?.kind !== 'table') return publish(channel, data, publishOptions)
    const queue = queues.get(channel) ?? { tail: Promise.resolve(), length: 0 }
    const snapshot = queue.length < maxWaiting ? parseIncomplete(data) : undefined
    // Nobody waits and there is nothing to complete: as fast as without us.
    if (!snapshot && queue.length === 0) return publish(channel, data, publishOptions)
    const completed = snapshot ? complete(named.id, snapshot) : Promise.resolve(undefined)
    queues.set(channel, queue)
    queue.length++
    const result = queue.tail
      .then(() => completed)
      .then((better) => ({ sent: publish(channel, better ?? data, publishOptions) }))
    // The next one follows as soon as this one is on its way: the broker keeps the order of calls.
    const leave = (): void => {
      if (--queue.length === 0) queues.delete(channel)
    }
    queue.tail = result.then(leave, leave)
    return result.then(({ sent }) => sent)
  }
}
