/** A WebSocket frame as it goes over the wire, unmasked as a server's is. Shared by all its receivers: never written into. */
export type Frame = Buffer & { readonly __frame?: never }

const finText = 0x81

/**
 * Builds a server's text frame, once for any number of receivers (RFC 6455 §5.2). The text of a Buffer is taken as it is
 * and must be UTF-8.
 */
export function encodeFrame(text: string | Buffer): Frame {
  const payload = typeof text === 'string' ? Buffer.from(text) : text
  const { length } = payload
  const extended = length < 126 ? 0 : length < 65_536 ? 2 : 8
  const frame = Buffer.allocUnsafe(2 + extended + length)
  frame[0] = finText
  if (extended === 0) frame[1] = length
  else if (extended === 2) {
    frame[1] = 126
    frame.writeUInt16BE(length, 2)
  } else {
    frame[1] = 127
    frame.writeUInt32BE(Math.floor(length / 2 ** 32), 2)
    frame.writeUInt32BE(length >>> 0, 6)
  }
  payload.copy(frame, 2 + extended)
  return frame
}
