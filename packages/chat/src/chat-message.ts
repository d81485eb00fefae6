import { ChatError } from './chat-error.ts'

/** One line of a room as it is stored, published and shown; `ts` is ISO 8601. */
export interface ChatMessage {
  readonly id: string
  readonly userId: string
  readonly username: string
  readonly text: string
  readonly ts: string
}

/** Reads a stored message; fields that it does not know are dropped. Throws `corrupt_entry`. */
export function parseChatMessage(json: string): ChatMessage {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch (cause) {
    throw new ChatError('corrupt_entry', 'A stored message is not JSON', { cause })
  }
  if (typeof value === 'object' && value !== null) {
    const { id, userId, username, text, ts }: Partial<Record<string, unknown>> = { ...value }
    if (
      typeof id === 'string' &&
      typeof userId === 'string' &&
      typeof username === 'string' &&
      typeof text === 'string' &&
      typeof ts === 'string'
    )
      return { id, userId, username, text, ts }
  }
  throw new ChatError('corrupt_entry', 'A stored message lacks a field')
}
