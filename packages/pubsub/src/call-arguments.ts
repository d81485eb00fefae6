import type { Position, PublishOptions } from './broker.ts'
import { PubSubError } from './errors.ts'

const maxMessageBytes = 1_048_576

/** The payload as bytes; throws `invalid` for what a broker does not take. A Buffer is not copied. */
export function parsePublish(data: Buffer | string, options: PublishOptions): Buffer {
  const { idempotencyKey, traceparent, requestId } = options
  if (idempotencyKey !== undefined && (idempotencyKey.length === 0 || idempotencyKey.length > 512))
    throw new PubSubError('invalid', 'An idempotency key has 1 to 512 characters')
  if (traceparent !== undefined && !/^[\x21-\x7e]{1,128}$/.test(traceparent))
    throw new PubSubError('invalid', 'A traceparent has 1 to 128 visible ASCII characters')
  if (requestId !== undefined && !/^[\x21-\x7e]{1,128}$/.test(requestId))
    throw new PubSubError('invalid', 'A requestId has 1 to 128 visible ASCII characters')
  const bytes = typeof data === 'string' ? Buffer.from(data) : data
  if (bytes.length > maxMessageBytes)
    throw new PubSubError('invalid', `A message has at most ${maxMessageBytes} bytes`)
  return bytes
}

/** How many messages a read may return; throws `invalid`. */
export function parseLimit(limit = 100): number {
  if (!Number.isInteger(limit) || limit < 0 || limit > 10_000)
    throw new PubSubError('invalid', 'limit must be an integer from 0 to 10000')
  return limit
}

/** A position as clients send it; throws `invalid`. */
export function parseSince(since: Position | undefined): { readonly since?: Position } {
  if (since === undefined) return {}
  if (!Number.isSafeInteger(since.seq) || since.seq < 0 || since.epoch.length > 64)
    throw new PubSubError('invalid', 'since must be a position that the broker gave')
  return { since }
}
