import type { ChannelMessage } from '../broker.ts'

/** The end of an envelope's first line: who published it. An instance that knows no request id reads the rest. */
export function encodeOrigin(traceparent: string | undefined, requestId: string | undefined): string {
  return requestId === undefined ? (traceparent ?? '-') : `${traceparent ?? '-'} ${requestId}`
}

/**
 * Reads what the publish script wrote: `1 <epoch> <seq> <publishedAtMs> <traceparent or -> [<request id>]`, a newline,
 * and the payload as it came. Undefined when it is something else.
 */
export function decodeEnvelope(channel: string, envelope: Buffer): ChannelMessage | undefined {
  const end = envelope.indexOf(10)
  if (end === -1) return undefined
  const [version, epoch = '', seqText, atText, traceparent = '-', requestId] = envelope
    .toString('latin1', 0, end)
    .split(' ')
  const seq = Number(seqText)
  const publishedAtMs = Number(atText)
  if (version !== '1' || epoch === '' || !Number.isSafeInteger(seq) || !Number.isSafeInteger(publishedAtMs))
    return undefined
  const message: ChannelMessage = { channel, epoch, seq, publishedAtMs, data: envelope.subarray(end + 1) }
  if (traceparent === '-' && requestId === undefined) return message
  return {
    ...message,
    ...(traceparent !== '-' && { traceparent }),
    ...(requestId !== undefined && { requestId }),
  }
}
