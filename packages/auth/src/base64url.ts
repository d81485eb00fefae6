/** Last characters whose unused low bits are zero, by `length % 4`; a length of 4n+1 cannot occur. */
const canonicalEnds: readonly (string | undefined)[] = [undefined, '', 'AQgw', 'AEIMQUYcgkosw048']

/**
 * Is the segment, already known to hold only `A-Z a-z 0-9 - _`, the one canonical base64url text of its bytes (RFC 4648
 * §3.5)? If not, one signature would have several spellings, and a list of raw tokens could be walked around.
 */
export function isCanonicalBase64url(segment: string): boolean {
  const ends = canonicalEnds[segment.length % 4]
  if (ends === undefined) return segment.length > 0
  return ends !== '' && ends.includes(segment.charAt(segment.length - 1))
}
