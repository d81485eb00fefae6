import fc from 'fast-check'
import { expect, it } from 'vitest'
import { encodeFrame } from '@gw/connections'

/** The one final, unmasked text frame that the bytes must be (RFC 6455 §5.2). */
function decode(frame: Buffer): string {
  expect(frame[0]).toBe(0x81)
  const short = frame.readUInt8(1)
  const [start, length] =
    short < 126
      ? [2, short]
      : short === 126
        ? [4, frame.readUInt16BE(2)]
        : [10, Number(frame.readBigUInt64BE(2))]
  // The shortest form is required.
  expect(length).toBeGreaterThanOrEqual(start === 2 ? 0 : start === 4 ? 126 : 65_536)
  expect(frame.length).toBe(start + length)
  return frame.toString('utf8', start)
}

it.each([0, 1, 125, 126, 127, 65_535, 65_536, 200_000])('is one text message of %i bytes', (length) => {
  const text = 'x'.repeat(length)
  expect(decode(encodeFrame(text))).toBe(text)
})

it('reads as the text that was encoded, from a string or from its bytes', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), (text) => {
      const frame = encodeFrame(text)
      expect(frame.equals(encodeFrame(Buffer.from(text)))).toBe(true)
      expect(decode(frame)).toBe(text)
    }),
  )
})
