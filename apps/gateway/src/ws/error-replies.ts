/** What a client is told when its message could not be taken or done: by the one error table. */
import type { ActionResult, ClientMessage, ErrorCode, ErrorMessage } from '@gw/protocol'
import type { ParsedClientMessage } from '@gw/protocol/schemas'
import { errorTable, GatewayError } from '../errors.ts'
import { SubscriptionCapError } from '../services/channels.ts'
import type { ClientSession } from './client-session.ts'

/** Narrows to a JSON object. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The code that a client is told; what isn't ours to name is `internal`. */
export function wireCodeOf(error: unknown): ErrorCode {
  if (error instanceof SubscriptionCapError) return error.code
  return error instanceof GatewayError ? error.code : 'internal'
}

/** The answer to a message that failed; anything but a {@link GatewayError} is `internal`. */
export function refusalOf(
  error: unknown,
  message: ClientMessage,
): ErrorMessage & { readonly code: ErrorCode } {
  if (error instanceof SubscriptionCapError)
    return {
      type: 'Error',
      code: error.code,
      message: error.message,
      retryable: false,
      ...('tableId' in message && { tableId: message.tableId }),
      ...(message.id !== undefined && { id: message.id }),
    }
  const known =
    error instanceof GatewayError ? error : new GatewayError('internal', undefined, { cause: error })
  const { retryable } = errorTable[known.code]
  return {
    type: 'Error',
    code: known.code,
    message: known.message,
    retryable,
    ...(retryable && { retryAfterMs: known.retryAfterMs ?? 1000 }),
    ...('tableId' in message && { tableId: message.tableId }),
    ...(message.id !== undefined && { id: message.id }),
  }
}

/**
 * The contract has no answer to a leave, also where it failed, as when a kick crosses it: today's client, which sends no `id`,
 * would turn red.
 */
export function isUnanswered(
  { type, id }: ClientMessage,
  { features }: Pick<ClientSession, 'features'>,
): boolean {
  return type === 'LeaveTable' && id === undefined && features.size === 0
}

/** The answer to a message that no schema knows, of a client that sends too many. */
export function limitedReply(id: string | undefined, retryAfterMs: number): ErrorMessage {
  const { message, retryable } = errorTable.rate_limited
  return {
    type: 'Error',
    code: 'rate_limited',
    message,
    retryable,
    retryAfterMs,
    ...(id !== undefined && { id }),
  }
}

/** The answer to a message that no schema knows. A word that is no action has the contract's own answer. */
export function invalidReply(
  parsed: Extract<ParsedClientMessage, { readonly ok: false }>,
  json: unknown,
): ActionResult | ErrorMessage {
  const id = parsed.id === undefined ? {} : { id: parsed.id }
  const tableId = isObject(json) ? json['tableId'] : undefined
  if (parsed.type === 'Action' && typeof tableId === 'string' && tableId !== '')
    return { type: 'ActionResult', tableId, accepted: false, reason: 'invalid_action', ...id }
  const message = parsed.code === 'unknown_type' ? 'Unknown message type' : 'Invalid message'
  return { type: 'Error', code: parsed.code, message, retryable: false, ...id }
}
