/** A message's place in a channel: `epoch` is one life of the channel's log, `seq` counts from 1 without holes. */
export interface Position {
  readonly epoch: string
  readonly seq: number
}

/** What a message that came from a channel carries beside its own fields; absent on a message that came from none. */
export interface Positioned {
  readonly channel?: string
  readonly epoch?: string
  readonly seq?: number
}

/** What a channel's name stands for. */
export type ChannelKind = 'table' | 'chat' | 'lobby' | 'user' | 'all' | 'presence'

/** The one channel of the lobby's list of tables. */
export const lobbyChannel = 'lobby'

/** The one channel that everybody hears. */
export const allChannel = 'all'

/** The channel of a table's state, `table:ID`. */
export function tableChannel(tableId: string): string {
  return `table:${tableId}`
}

/** The channel of a table's chat, `chat:ID`. */
export function chatChannel(tableId: string): string {
  return `chat:${tableId}`
}

/** The channel of everything meant for one user, `user:ID`. */
export function userChannel(userId: string): string {
  return `user:${userId}`
}

/** The channel of one user's status, `presence:ID`. */
export function presenceChannel(userId: string): string {
  return `presence:${userId}`
}

const prefixes: Readonly<Record<string, ChannelKind>> = {
  table: 'table',
  chat: 'chat',
  user: 'user',
  presence: 'presence',
}

/** Splits a channel's name; `id` is empty for the lobby and `all`. Undefined when the name is none of the wire's. */
export function parseChannel(channel: string): { kind: ChannelKind; id: string } | undefined {
  if (channel === lobbyChannel || channel === allChannel) return { kind: channel, id: '' }
  const colon = channel.indexOf(':')
  const prefix = channel.slice(0, Math.max(colon, 0))
  const kind = Object.hasOwn(prefixes, prefix) ? prefixes[prefix] : undefined
  const id = channel.slice(colon + 1)
  return kind !== undefined && id !== '' ? { kind, id } : undefined
}
