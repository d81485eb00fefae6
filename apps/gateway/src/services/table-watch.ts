/**
 * What this instance knows of each table that somebody here watches, and what it says beside the table's own updates:
 *
 *   update ▶ facts ┬ turn changed       ▶ TimerUpdate                    ┐ behind the update,
 *                  ├ spectators changed ▶ SpectatorJoined, SpectatorLeft ┘ to whoever gets the update
 *                  └ always             ▶ onFacts (hole cards)
 *
 * All instances see the same updates in the same order, so each makes the same messages by itself: they are in no log and
 * carry no position; who misses them finds the same in the next snapshot.
 */
import { encodeFrame, type Frame, type SendOptions } from '@gw/connections'
import {
  parseChannel,
  type SpectatorJoined,
  type SpectatorLeft,
  type TableState,
  type TimerUpdate,
} from '@gw/protocol'
import type { ChannelMessage, Position } from '@gw/pubsub'
import { LRUCache } from 'lru-cache'
import { factsOf, type TableFacts, tableFactsOf } from './table-facts.ts'

/** A message that goes out behind an update. */
export interface DerivedFrame {
  readonly frame: Frame
  readonly options: SendOptions
}

export interface TableWatchOptions {
  /** Newer facts of a table, once for each update. */
  readonly onFacts: (tableId: string, facts: TableFacts) => void
}

export interface TableWatch {
  /** Takes an update, once each; older ones than known (a replay to one socket) change nothing. */
  see(message: ChannelMessage): void
  /** A state that Game gave to a subscriber at this position: what comes next is compared with it. */
  begin(state: TableState, position: Position): void
  derivedFrom(message: ChannelMessage): readonly DerivedFrame[]
  latest(tableId: string): TableFacts | undefined
  /** Calls the listener with newer facts of the table; returns the way to stop. */
  onFacts(tableId: string, listener: (facts: TableFacts) => void): () => void
  /** The timer for who has just been given this state. */
  timerOf(state: TableState): TimerUpdate | undefined
}

interface Known extends Position {
  readonly facts: TableFacts
  /** When the turn ends; an update in the same turn does not move it. */
  readonly deadlineTs: string | undefined
  /** From `begin`: may be newer than the updates that come next. */
  readonly isGiven: boolean
}

const none: readonly DerivedFrame[] = []

function derived(message: TimerUpdate | SpectatorJoined | SpectatorLeft): DerivedFrame {
  const frame = encodeFrame(JSON.stringify(message))
  if (message.type === 'TimerUpdate')
    return { frame, options: { kind: 'state', key: `timer:${message.tableId}` } }
  return { frame, options: { kind: 'ephemeral' } }
}

function spectatorChanges(
  tableId: string,
  before: ReadonlySet<string>,
  after: ReadonlySet<string>,
): (SpectatorJoined | SpectatorLeft)[] {
  const spectatorCount = after.size
  return [
    ...[...after]
      .filter((userId) => !before.has(userId))
      .map((userId) => ({ type: 'SpectatorJoined', tableId, userId, spectatorCount }) as const),
    ...[...before]
      .filter((userId) => !after.has(userId))
      .map((userId) => ({ type: 'SpectatorLeft', tableId, userId, spectatorCount }) as const),
  ]
}

/** Keeps the last 10,000 tables. */
export function createTableWatch({ onFacts }: TableWatchOptions): TableWatch {
  const tables = new LRUCache<string, Known>({ max: 10_000 })
  const frames = new WeakMap<ChannelMessage, readonly DerivedFrame[]>()
  const listeners = new Map<string, Set<(facts: TableFacts) => void>>()

  function tell(tableId: string, facts: TableFacts): void {
    onFacts(tableId, facts)
    for (const listener of listeners.get(tableId) ?? []) listener(facts)
  }

  return {
    see(message) {
      const named = parseChannel(message.channel)
      const facts = named?.kind === 'table' ? tableFactsOf(message) : undefined
      if (named === undefined || facts === undefined) return
      const { id: tableId } = named
      const { epoch, seq } = message
      const before = tables.get(tableId)
      if (before?.epoch === epoch && seq <= before.seq) return
      if (before?.epoch === epoch && before.isGiven && facts.version <= before.facts.version) {
        tables.set(tableId, { ...before, seq })
        tell(tableId, before.facts)
        return
      }
      const { turn } = facts
      const isSameTurn = turn !== undefined && before?.facts.turn?.key === turn.key
      const deadlineTs = isSameTurn ? before?.deadlineTs : turn?.deadlineTs
      tables.set(tableId, { epoch, seq, facts, deadlineTs, isGiven: false })
      const messages: (TimerUpdate | SpectatorJoined | SpectatorLeft)[] = []
      if (turn && !isSameTurn) messages.push(timerUpdate(tableId, turn, turn.deadlineTs))
      // Behind a gap the difference is not this update's: whoever missed it has a snapshot instead.
      if (before?.epoch === epoch && seq === before.seq + 1)
        messages.push(...spectatorChanges(tableId, before.facts.spectators, facts.spectators))
      if (messages.length > 0) frames.set(message, messages.map(derived))
      tell(tableId, facts)
    },
    begin(state, { epoch, seq }) {
      const known = tables.get(state.tableId)
      if (known?.epoch === epoch && known.seq >= seq) return
      const facts = factsOf(state)
      const { turn } = facts
      const deadlineTs = turn && firstDeadline(state, turn.deadlineTs)
      tables.set(state.tableId, { epoch, seq, facts, deadlineTs, isGiven: true })
    },
    derivedFrom: (message) => frames.get(message) ?? none,
    latest: (tableId) => tables.get(tableId)?.facts,
    onFacts(tableId, listener) {
      const own = listeners.get(tableId) ?? new Set()
      listeners.set(tableId, own.add(listener))
      return () => {
        own.delete(listener)
        if (own.size === 0 && listeners.get(tableId) === own) listeners.delete(tableId)
      }
    },
    timerOf(state) {
      const { turn } = factsOf(state)
      if (turn === undefined) return undefined
      const known = tables.get(state.tableId)
      const isKnown = known?.facts.turn?.key === turn.key && known.deadlineTs !== undefined
      return timerUpdate(
        state.tableId,
        turn,
        isKnown ? known.deadlineTs : firstDeadline(state, turn.deadlineTs),
      )
    },
  }
}

function timerUpdate(
  tableId: string,
  { handId, seat }: { readonly handId: string; readonly seat: number },
  deadlineTs: string,
): TimerUpdate {
  return { type: 'TimerUpdate', tableId, handId, currentTurnSeat: seat, deadlineTs }
}

/** A spectator may have moved `updatedAt` since the turn began: the last action is when it did. */
function firstDeadline({ hand, config }: TableState, fallback: string): string {
  const begun = Date.parse(hand?.actions.at(-1)?.timestamp ?? hand?.startedAt ?? '')
  return Number.isNaN(begun) ? fallback : new Date(begun + config.turnTimerSeconds * 1000).toISOString()
}
