import { z } from 'zod'
import type { ClientMessage, ClientMessageType } from './client-messages.ts'
import { clientSchemas } from './client-schemas.ts'
import { limits } from './limits.ts'

/** One thing that is wrong with a message; `path` names the field (`resume.chat:T1.seq`), empty for the message itself. */
export interface MessageIssue {
  readonly path: string
  readonly message: string
}

/** A client message, or why it is none, with as much of it as a typed answer needs. */
export type ParsedClientMessage =
  | { readonly ok: true; readonly message: ClientMessage }
  | {
      readonly ok: false
      readonly code: 'unknown_type' | 'invalid_message'
      readonly type?: string
      readonly id?: string
      readonly tableId?: string
      readonly issues: readonly MessageIssue[]
    }

const envelope = z.object({
  type: z.string().optional().catch(undefined),
  id: z.string().min(1).max(limits.maxIdLength).optional().catch(undefined),
  tableId: z.string().min(1).max(limits.maxNameLength).optional().catch(undefined),
})

/** True for a `type` that this version of the wire has. */
export function isClientMessageType(type: string): type is ClientMessageType {
  return Object.hasOwn(clientSchemas, type)
}

/**
 * Turns a decoded JSON value into a client message. `unknown_type`: an object whose `type` is a word that this version
 * does not know; `invalid_message`: all else. Numeric strings become numbers where the contract allows them. Never throws.
 */
export function parseClientMessage(value: unknown): ParsedClientMessage {
  const parsed = envelope.safeParse(value)
  if (!parsed.success) return { ok: false, code: 'invalid_message', issues: toIssues(parsed.error) }
  const { type, id, tableId } = parsed.data
  const known = {
    ...(type !== undefined && { type: type.slice(0, limits.maxNameLength) }),
    ...(id !== undefined && { id }),
    ...(tableId !== undefined && { tableId }),
  }
  if (type === undefined)
    return { ok: false, code: 'invalid_message', ...known, issues: [{ path: 'type', message: 'required' }] }
  if (!isClientMessageType(type))
    return { ok: false, code: 'unknown_type', ...known, issues: [{ path: 'type', message: 'unknown' }] }
  const schema: z.ZodType<ClientMessage> = clientSchemas[type]
  const result = schema.safeParse(value)
  if (result.success) return { ok: true, message: result.data }
  return { ok: false, code: 'invalid_message', ...known, issues: toIssues(result.error) }
}

function toIssues(error: z.ZodError): MessageIssue[] {
  return error.issues.map(({ path, message }) => ({ path: path.map(String).join('.'), message }))
}
