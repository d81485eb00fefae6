/**
 * What an operator may see of a message: its place, its type, its size and names from a closed list. Never cards, chat
 * text or tokens: nothing is shown for not being forbidden, only for being listed, and only when it looks like a name.
 */
import type { ChannelMessage } from '@gw/pubsub'

export interface MessageDigest {
  readonly channel: string
  readonly epoch: string
  readonly seq: number
  readonly atMs: number
  readonly type: string
  readonly bytes: number
  readonly traceId?: string
  readonly fields: Readonly<Record<string, string | number | boolean>>
}

/** Paths into a message, with dots. */
const shown = [
  'tableId',
  'handId',
  'userId',
  'seatId',
  'status',
  'messageId',
  'currentTurnSeat',
  'spectatorCount',
  'tableState.tableId',
  'tableState.version',
  'tableState.hand.handId',
  'tableState.hand.street',
  'tableState.hand.turn',
  'patch.version',
  'message.id',
  'message.userId',
]

/** Ids, words and numbers; a sentence has blanks, a token is longer. */
const nameLike = /^[\w:.@|-]{1,64}$/

function valueAt(value: unknown, path: string): unknown {
  let at = value
  for (const name of path.split('.')) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, name)) return undefined
    at = (at as Readonly<Record<string, unknown>>)[name]
  }
  return at
}

function parse(data: Buffer): unknown {
  try {
    return JSON.parse(data.toString())
  } catch {
    return undefined
  }
}

export function digestOf(message: ChannelMessage): MessageDigest {
  const { channel, epoch, seq, publishedAtMs, data, traceparent } = message
  const json = parse(data)
  const fields: Record<string, string | number | boolean> = {}
  for (const path of shown) {
    const value = valueAt(json, path)
    if (typeof value === 'number' || typeof value === 'boolean') fields[path] = value
    else if (typeof value === 'string' && nameLike.test(value)) fields[path] = value
  }
  const type = valueAt(json, 'type')
  const traceId = traceparent?.split('-')[1]
  return {
    channel,
    epoch,
    seq,
    atMs: publishedAtMs,
    type: typeof type === 'string' && nameLike.test(type) ? type : 'unknown',
    bytes: data.length,
    ...(traceId !== undefined && { traceId }),
    fields,
  }
}
