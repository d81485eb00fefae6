import type { ChannelMessage } from '../broker.ts'

/**
 * Reads what the publish script wrote: `1 <epoch> <seq> <publishedAtMs> <traceparent or ->`, a newline, and the payload
 * as it came. Undefined when it is something else.
 */
export function decodeEnvelope(channel: string, envelope: Buffer): ChannelMessage | undefined {
  const end = envelope.indexOf(10)
  if (end === -1) return undefined
  const [version, epoch = '', seqText, atText, traceparent = '-'] = envelope
    .toString('latin1', 0, end)
    .split(' ')
  const seq = Number(seqText)
  const publishedAtMs = Number(atText)
  if (version !== '1' || epoch === '' || !Number.isSafeInteger(seq) || !Number.isSafeInteger(publishedAtMs))
    return undefined
  const message: ChannelMessage = { channel, epoch, seq, publishedAtMs, data: envelope.subarray(end + 1) }
  return traceparent === '-' ? message : { ...message, traceparent }
}
