/**
 * The bytes of a segment, or undefined unless it is the one canonical base64url text of them (RFC 4648 §3.5): else one
 * signature would have several spellings, and a list of raw tokens could be walked around. Node's decoder forgives
 * padding, line breaks and the other alphabet; encoding again tells, whatever it forgives.
 */
export function decodeCanonical(segment: string): Buffer | undefined {
  const bytes = Buffer.from(segment, 'base64url')
  return segment !== '' && bytes.toString('base64url') === segment ? bytes : undefined
}
