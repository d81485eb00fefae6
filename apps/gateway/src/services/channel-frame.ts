/** Channel messages as WebSocket frames: bytes in, bytes out, the position written behind the payload's last member. */
import { encodeFrame, type Frame } from '@gw/connections'
import type { ChannelMessage } from '@gw/pubsub'

const closingBrace = 0x7d

/**
 * `{"type":…}` → `{"type":…,"channel":…,"epoch":…,"seq":…}` without parsing. The payload must be a JSON object with
 * members; whoever lets data into a channel has checked that.
 */
function withPosition(message: Pick<ChannelMessage, 'channel' | 'epoch' | 'seq' | 'data'>): Buffer {
  const end = message.data.lastIndexOf(closingBrace)
  const { channel, epoch, seq } = message
  const tail = Buffer.from(
    `,"channel":${JSON.stringify(channel)},"epoch":${JSON.stringify(epoch)},"seq":${seq}}`,
  )
  return Buffer.concat([message.data.subarray(0, end), tail])
}

/** The frame of a message. Build it once for all its receivers: `hasPosition` is one for a whole channel. */
export function frameOf(message: ChannelMessage, hasPosition: boolean): Frame {
  return encodeFrame(hasPosition ? withPosition(message) : message.data)
}
