import type { Positioned } from './position.ts'
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
  Subscribed: { channel: 'string', epoch: 'string', seq: 'number' },
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

/** A message of a type that this version does not know: a newer server's, or the platform's own in `user:` and `all`. */
export interface OtherMessage extends Positioned {
  readonly type: '(other)'
  /** As it came. */
  readonly message: { readonly type: string; readonly [field: string]: unknown }
}

/**
 * Reads a frame from a gateway that is trusted to keep to the wire: JSON with a `type`, and for a known one the required
 * fields of the right kind; else undefined. An unknown type keeps its position, so that its channel has no hole. Small on
 * purpose, for browsers; nested fields are not looked at: `parseServerMessage` of `@gw/protocol/schemas` checks them all.
 */
export function decodeFrame(frame: string): ServerMessage | OtherMessage | undefined {
  let value: unknown
  try {
    value = JSON.parse(frame)
  } catch {
    return undefined
  }
  if (!isMessage(value)) return undefined
  if (isServerMessage(value)) return value
  if (Object.hasOwn(requiredKinds, value.type)) return undefined
  const { channel, epoch, seq } = value
  const isPositioned = typeof channel === 'string' && typeof epoch === 'string' && typeof seq === 'number'
  return { type: '(other)', message: value, ...(isPositioned && { channel, epoch, seq }) }
}

/** {@link decodeFrame} for known types alone. */
export function decodeServerMessage(frame: string): ServerMessage | undefined {
  const message = decodeFrame(frame)
  return message?.type === '(other)' ? undefined : message
}

function isServerMessage(value: OtherMessage['message']): value is ServerMessage & OtherMessage['message'] {
  if (!Object.hasOwn(requiredKinds, value.type)) return false
  const kinds: Readonly<Record<string, Readonly<Record<string, Kind>>>> = requiredKinds
  return Object.entries(kinds[value.type] ?? {}).every(
    ([field, kind]) => typeof value[field] === kind && value[field] !== null,
  )
}

function isMessage(value: unknown): value is OtherMessage['message'] {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
}
