/** What the gateway itself reads of a table's update: parsed once per message, however many sockets get it. */
import type { ChannelMessage } from '@gw/pubsub'
import { LRUCache } from 'lru-cache'
import { z } from 'zod'

export interface TableFacts {
  readonly version: number
  readonly handId: string | undefined
}

const snapshot = z.object({
  type: z.literal('TableSnapshot'),
  tableState: z.object({ version: z.number(), hand: z.object({ handId: z.string() }).nullish() }),
})

const parsed = new WeakMap<ChannelMessage, { readonly facts: TableFacts | undefined }>()

function parse(message: ChannelMessage): TableFacts | undefined {
  try {
    const result = snapshot.safeParse(JSON.parse(message.data.toString()))
    if (!result.success) return undefined
    const { version, hand } = result.data.tableState
    return { version, handId: hand?.handId }
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

/** The newest facts seen on this instance, by table. */
export interface TableFactsCache {
  learn(tableId: string, facts: TableFacts): void
  latest(tableId: string): TableFacts | undefined
}

/** Keeps the last 10,000 tables. */
export function createTableFactsCache(): TableFactsCache {
  const latest = new LRUCache<string, TableFacts>({ max: 10_000 })
  return {
    learn(tableId, facts) {
      const known = latest.get(tableId)
      if (!known || facts.version >= known.version || facts.version === 0) latest.set(tableId, facts)
    },
    latest: (tableId) => latest.get(tableId),
  }
}
