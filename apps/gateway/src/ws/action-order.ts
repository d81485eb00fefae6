/**
 * The order that the contract's clients see: the state that an action made, then its `ActionResult`. Game answers and
 * publishes at the same time, and the update takes the longer way, so the answer waits for it; not for ever, and not on a
 * socket that doesn't watch the table.
 */
import { type Action, tableChannel } from '@gw/protocol'
import type { Channels } from '../services/channels.ts'
import type { TableFacts } from '../services/table-facts.ts'
import type { TableWatch } from '../services/table-watch.ts'
import type { Applied } from './apply-once.ts'
import type { ClientSession } from './client-session.ts'

export interface ActionOrderOptions {
  readonly watch: Pick<TableWatch, 'latest' | 'onFacts'>
  readonly channels: Pick<Channels, 'has'>
  /** Default 1000; then the answer goes first. */
  readonly waitMs?: number
}

/** Does the action; resolves with its answer when the socket has been sent what it changed. */
export type ActionOrder = (
  message: Action,
  session: Pick<ClientSession, 'connectionId' | 'userId'>,
  act: () => Promise<Applied>,
) => Promise<Applied>

export function createActionOrder({ watch, channels, waitMs = 1000 }: ActionOrderOptions): ActionOrder {
  return async ({ tableId }, { connectionId, userId }, act) => {
    if (!channels.has(connectionId, tableChannel(tableId))) return act()
    const before = watch.latest(tableId)
    const { promise: shown, resolve } = Promise.withResolvers<void>()
    const stop = watch.onFacts(tableId, (facts) => {
      if (hasActed(userId, before, facts)) resolve()
    })
    let late: NodeJS.Timeout | undefined
    try {
      const applied = await act()
      const { answer, duplicate } = applied
      if (answer?.type === 'ActionResult' && answer.accepted && !duplicate) {
        late = setTimeout(resolve, waitMs)
        await shown
      }
      return applied
    } finally {
      stop()
      clearTimeout(late)
    }
  }
}

function hasActed(userId: string, before: TableFacts | undefined, after: TableFacts): boolean {
  if (before?.handId !== after.handId) return true
  return (after.acted.get(userId) ?? 0) > (before?.acted.get(userId) ?? 0)
}
