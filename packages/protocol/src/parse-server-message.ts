import { z } from 'zod'
import type { ServerMessage, ServerMessageType } from './server-messages.ts'
import { serverSchemas } from './server-schemas.ts'
import type { MessageIssue } from './parse-client-message.ts'

/** A server message, or why it is none. */
export type ParsedServerMessage =
  | { readonly ok: true; readonly message: ServerMessage }
  | { readonly ok: false; readonly issues: readonly MessageIssue[] }

const envelope = z.object({ type: z.string() })

function isServerMessageType(type: string): type is ServerMessageType {
  return Object.hasOwn(serverSchemas, type)
}

/** Turns a decoded JSON value into a server message, checking every field (the SDK's own decoder looks only at the outermost). */
export function parseServerMessage(value: unknown): ParsedServerMessage {
  const parsed = envelope.safeParse(value)
  const type = parsed.success ? parsed.data.type : ''
  if (!isServerMessageType(type)) return { ok: false, issues: [{ path: 'type', message: 'unknown' }] }
  const schema: z.ZodType<ServerMessage> = serverSchemas[type]
  const result = schema.safeParse(value)
  if (result.success) return { ok: true, message: result.data }
  const issues = result.error.issues.map(({ path, message }) => ({
    path: path.map(String).join('.'),
    message,
  }))
  return { ok: false, issues }
}
