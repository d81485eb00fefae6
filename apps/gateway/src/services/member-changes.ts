/** Chat's answers about who is at a table are forgotten as soon as a table's update says otherwise. */
import { LRUCache } from 'lru-cache'
import type { TableFacts } from './table-facts.ts'

/** Takes each update's facts; `forget` is called for everyone who came or went since the one before. */
export function createMemberChanges(
  forget: (member: { readonly roomId: string; readonly userId?: string }) => void,
): (tableId: string, facts: Pick<TableFacts, 'seated' | 'spectators'>) => void {
  const last = new LRUCache<string, ReadonlySet<string>>({ max: 10_000 })
  return (roomId, { seated, spectators }) => {
    const members = new Set([...seated, ...spectators])
    const before = last.get(roomId)
    last.set(roomId, members)
    if (!before) return forget({ roomId })
    for (const userId of members) if (!before.has(userId)) forget({ roomId, userId })
    for (const userId of before) if (!members.has(userId)) forget({ roomId, userId })
  }
}
