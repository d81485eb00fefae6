import type { ServerMessage, ServerMessageType } from './server-messages.ts'

type Kind = 'string' | 'number' | 'boolean' | 'object'

type RequiredKeys<M> = { [K in keyof M]-?: object extends Pick<M, K> ? never : K }[keyof M]

type RequiredKinds = {
  readonly [T in ServerMessageType]: {
    readonly [K in Exclude<RequiredKeys<Extract<ServerMessage, { type: T }>>, 'type'>]: Kind
  }
}

/** The required fields of every server message and what JSON calls their values. The compiler keeps the list complete. */
const requiredKinds: RequiredKinds = {
  Welcome: { userId: 'string', connectionId: 'string' },
  Resumed: { channels: 'object' },
  LobbyTablesUpdated: { tables: 'object' },
  TableSnapshot: { tableState: 'object' },
  TablePatch: { tableId: 'string', patch: 'object' },
  HoleCards: { tableId: 'string', handId: 'string', cards: 'object' },
  TimerUpdate: { tableId: 'string', handId: 'string', currentTurnSeat: 'number', deadlineTs: 'string' },
  SpectatorJoined: { tableId: 'string', userId: 'string', spectatorCount: 'number' },
  SpectatorLeft: { tableId: 'string', userId: 'string', spectatorCount: 'number' },
  ActionResult: { tableId: 'string', accepted: 'boolean', reason: 'string' },
  ChatSubscribed: { tableId: 'string', history: 'object' },
  ChatMessage: { tableId: 'string', message: 'object' },
  ChatDeleted: { tableId: 'string', messageId: 'string' },
  ChatHistory: { tableId: 'string', history: 'object', more: 'boolean' },
  ChatError: { tableId: 'string', reason: 'string' },
  Typing: { tableId: 'string', userId: 'string' },
  PresenceSnapshot: { users: 'object' },
  PresenceChanged: { userId: 'string', status: 'string', at: 'string' },
  Ack: { id: 'string' },
  Error: { message: 'string' },
  Reset: { channel: 'string', epoch: 'string', reason: 'string' },
  Heartbeat: { at: 'string' },
  Pong: { at: 'string' },
  Reconnect: { afterMs: 'number', reason: 'string' },
  TokenExpiring: { expiresAt: 'string' },
}

/**
 * Reads a frame from a gateway that is trusted to keep to the wire: JSON, a known `type`, the required fields of the right
 * kind. Anything else (a newer server's message too) gives undefined. Small on purpose, for browsers; nested fields are not
 * looked at: `parseServerMessage` of `@gw/protocol/schemas` checks them all.
 */
export function decodeServerMessage(frame: string): ServerMessage | undefined {
  let value: unknown
  try {
    value = JSON.parse(frame)
  } catch {
    return undefined
  }
  return isServerMessage(value) ? value : undefined
}

function isServerMessage(value: unknown): value is ServerMessage {
  if (!isRecord(value)) return false
  const { type } = value
  if (typeof type !== 'string' || !Object.hasOwn(requiredKinds, type)) return false
  const kinds: Readonly<Record<string, Readonly<Record<string, Kind>>>> = requiredKinds
  return Object.entries(kinds[type] ?? {}).every(
    ([field, kind]) => typeof value[field] === kind && value[field] !== null,
  )
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
