import type { ClientState } from '@gw/client'
import type {
  Card,
  ChatEntry,
  Hand,
  HoleCards,
  PresenceStatus,
  Seat,
  ServerMessage,
  TableState,
  TableSummary,
  TimerUpdate,
} from '@gw/protocol'

/** The connection as the panel shows it. */
export interface ConnectionView {
  readonly state: ClientState
  /** When the next attempt begins, ms since 1970. */
  readonly retryAt: number | undefined
  /** Why the last one ended. */
  readonly ended: string | undefined
  readonly reconnects: number
  readonly instanceId: string | undefined
  readonly tokenExpiresAt: string | undefined
  /** Round trips in ms, newest last, at most 40. */
  readonly latencies: readonly number[]
  /** The server's clock minus ours, in ms. */
  readonly clockOffsetMs: number
}

/** A hand that has ended, kept for a look until the next one. */
export interface EndedHand {
  readonly hand: Hand
  readonly seats: readonly Seat[]
  /** Cards that were shown, by seat. */
  readonly shown: ReadonlyMap<number, readonly Card[]>
}

/** Everything about the table that is open. */
export interface TableView {
  readonly tableId: string
  readonly state: TableState | undefined
  readonly holeCards: HoleCards | undefined
  readonly timer: TimerUpdate | undefined
  readonly ended: EndedHand | undefined
  /** Where the actions of this street begin in the hand's list. */
  readonly streetFrom: number
  readonly chat: readonly ChatEntry[]
  readonly hasOlderChat: boolean
  /** Who writes, and until when that holds. */
  readonly typing: ReadonlyMap<string, number>
}

/** A short word to the user; `id` tells repeated ones apart. */
export interface Notice {
  readonly id: number
  readonly tone: 'info' | 'error'
  readonly text: string
}

export interface PageState {
  readonly user: string
  readonly connection: ConnectionView
  readonly lobby: readonly TableSummary[] | undefined
  readonly table: TableView | undefined
  readonly presence: Readonly<Record<string, PresenceStatus>>
  readonly balance: number | undefined
  readonly robots: readonly string[]
  readonly isAutoPlaying: boolean
  /** An action waits for its answer. */
  readonly isActing: boolean
  readonly notices: readonly Notice[]
  /** What happened at the table, in sentences, newest last; at most 60. */
  readonly story: readonly { readonly id: number; readonly text: string }[]
}

const typingMs = 4000
const maxChat = 300

export function initialState(user: string): PageState {
  return {
    user,
    connection: {
      state: 'idle',
      retryAt: undefined,
      ended: undefined,
      reconnects: 0,
      instanceId: undefined,
      tokenExpiresAt: undefined,
      latencies: [],
      clockOffsetMs: 0,
    },
    lobby: undefined,
    table: undefined,
    presence: {},
    balance: undefined,
    robots: [],
    isAutoPlaying: false,
    isActing: false,
    notices: [],
    story: [],
  }
}

export function openTable(tableId: string): TableView {
  return {
    tableId,
    state: undefined,
    holeCards: undefined,
    timer: undefined,
    ended: undefined,
    streetFrom: 0,
    chat: [],
    hasOlderChat: false,
    typing: new Map(),
  }
}

/** The user's own seat. */
export function ownSeat({ table, user }: PageState): Seat | undefined {
  return table?.state?.seats.find((seat) => seat.userId === user)
}

/** The state after a message; the same one when it says nothing new. `now`: ms since 1970. */
export function receive(page: PageState, message: ServerMessage, now: number): PageState {
  switch (message.type) {
    case 'Welcome':
      return {
        ...page,
        connection: {
          ...page.connection,
          instanceId: message.instanceId,
          tokenExpiresAt: message.tokenExpiresAt,
        },
      }
    case 'Ack':
      return message.tokenExpiresAt === undefined
        ? page
        : { ...page, connection: { ...page.connection, tokenExpiresAt: message.tokenExpiresAt } }
    case 'LobbyTablesUpdated':
      return { ...page, lobby: message.tables }
    case 'PresenceSnapshot':
      return { ...page, presence: { ...page.presence, ...message.users } }
    case 'PresenceChanged':
      return { ...page, presence: { ...page.presence, [message.userId]: message.status } }
    default: {
      const { table } = page
      const changed = table && receiveAtTable(table, message, now)
      return changed === table ? page : { ...page, table: changed }
    }
  }
}

function receiveAtTable(table: TableView, message: ServerMessage, now: number): TableView {
  switch (message.type) {
    case 'TableSnapshot':
      return message.tableState.tableId === table.tableId ? withState(table, message.tableState) : table
    case 'HoleCards':
      return message.tableId === table.tableId ? { ...table, holeCards: message } : table
    case 'TimerUpdate':
      return message.tableId === table.tableId ? { ...table, timer: message } : table
    case 'ChatSubscribed': {
      if (message.tableId !== table.tableId) return table
      const chat = withEntries(table.chat, message.history)
      return { ...table, chat, hasOlderChat: message.history.length >= 100 || table.hasOlderChat }
    }
    case 'ChatMessage': {
      if (message.tableId !== table.tableId) return table
      const typing = new Map(table.typing)
      typing.delete(message.message.userId)
      return { ...table, typing, chat: withEntries(table.chat, [message.message]) }
    }
    case 'ChatDeleted':
      return { ...table, chat: table.chat.filter(({ id }) => id !== message.messageId) }
    case 'Typing':
      return message.tableId === table.tableId
        ? { ...table, typing: new Map(table.typing).set(message.userId, now + typingMs) }
        : table
    default:
      return table
  }
}

function withState(table: TableView, state: TableState): TableView {
  const before = table.state
  if (before && state.version < before.version) return table
  const { hand } = state
  const known = before?.hand
  const isSameStreet = hand && known?.handId === hand.handId && known.street === hand.street
  const isOver = Boolean(hand?.endedAt)
  const ended = hand
    ? isOver
      ? { hand, seats: state.seats, shown: new Map<number, readonly Card[]>() }
      : undefined
    : table.ended
  return {
    ...table,
    state,
    ended,
    streetFrom: isSameStreet || isOver ? table.streetFrom : before && hand ? actionsSoFar(hand, known) : 0,
  }
}

/** A new street begins behind the action that closed the old one; a new hand at its blinds. */
function actionsSoFar(hand: Hand, known: Hand | null | undefined): number {
  return known?.handId === hand.handId ? hand.actions.length : 0
}

/** Each entry once, by time; history may hold what comes live as well. */
function withEntries(chat: readonly ChatEntry[], more: readonly ChatEntry[]): readonly ChatEntry[] {
  const known = new Set(chat.map(({ id }) => id))
  const added = more.filter(({ id }) => !known.has(id))
  if (added.length === 0) return chat
  const last = chat.at(-1)
  const isInOrder = last === undefined || added.every(({ ts }) => ts >= last.ts)
  const all = [...chat, ...added]
  return (isInOrder ? all : all.toSorted((a, b) => a.ts.localeCompare(b.ts))).slice(-maxChat)
}

/** A page of older chat, before what is shown. */
export function withOlderChat(table: TableView, older: readonly ChatEntry[], more: boolean): TableView {
  const known = new Set(table.chat.map(({ id }) => id))
  const added = older.filter(({ id }) => !known.has(id))
  return { ...table, chat: [...added, ...table.chat].slice(0, maxChat), hasOlderChat: more }
}
