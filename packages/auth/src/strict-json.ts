import { isUtf8 } from 'node:buffer'

/** A JSON object as parsed: own data properties only are read from it. */
export type JsonObject = Readonly<Record<string, unknown>>

export type StrictJsonResult =
  | { readonly ok: true; readonly value: JsonObject }
  | { readonly ok: false; readonly code: 'token_malformed' | 'duplicate_member' | 'forbidden_member' }

const malformed: StrictJsonResult = { ok: false, code: 'token_malformed' }
const maxDepth = 16

/**
 * Parses UTF-8 bytes to a JSON object and refuses what `JSON.parse` lets through: invalid UTF-8, repeated member names
 * at any level (RFC 8259 §4 leaves their meaning open, so two readers may see two tokens), a `__proto__` member, and
 * nesting deeper than 16.
 */
export function parseStrictJson(bytes: Buffer): StrictJsonResult {
  const text = bytes.toString('utf8')
  // What is no UTF-8 was decoded to U+FFFD, which may also be meant.
  if (text.includes('\ufffd') && !isUtf8(bytes)) return malformed
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return malformed
  }
  if (!isJsonObject(value)) return malformed
  const members = countMembers(value, 1)
  if (members < 0) return { ok: false, code: members === forbidden ? 'forbidden_member' : 'token_malformed' }
  // JSON.parse keeps the last of two equal names, so fewer members than colons means that a name was repeated.
  const unique = members === countQuotedColons(text) || members === countColons(text)
  return unique ? { ok: true, value } : { ok: false, code: 'duplicate_member' }
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const forbidden = -1
const tooDeep = -2

/** Members at all levels; negative when one is not allowed. Runs for every token, hence no iterators over entries. */
function countMembers(value: unknown, depth: number): number {
  if (typeof value !== 'object' || value === null) return 0
  if (depth > maxDepth) return tooDeep
  let total = 0
  if (Array.isArray(value)) {
    for (const item of value) {
      const inner = countMembers(item, depth + 1)
      if (inner < 0) return inner
      total += inner
    }
    return total
  }
  if (!isJsonObject(value)) return total
  // Object.keys costs twice as much.
  for (const name in value) {
    if (!Object.hasOwn(value, name)) continue
    const inner = name === '__proto__' ? forbidden : countMembers(value[name], depth + 1)
    if (inner < 0) return inner
    total += 1 + inner
  }
  return total
}

const quote = 0x22
const backslash = 0x5c
const colon = 0x3a
const space = 0x20

/**
 * At least `countColons`, and cheaper: colons right after a quote, in strings or not. The members read are at most the
 * names written, and these at most this: when the first equals the last, no name was repeated. -1 when it can't be said,
 * because there are blanks before a colon.
 */
function countQuotedColons(text: string): number {
  let colons = 0
  for (let at = text.indexOf(':'); at >= 0; at = text.indexOf(':', at + 1)) {
    const before = text.charCodeAt(at - 1)
    if (before === quote) colons += 1
    else if (before <= space) return -1
  }
  return colons
}

/** Colons outside strings of a text that is known to be valid JSON: one per member. */
function countColons(text: string): number {
  let colons = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === colon) colons += 1
    else if (code === quote) at = endOfString(text, at + 1)
  }
  return colons
}

function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start)
  while (isEscaped(text, end)) end = text.indexOf('"', end + 1)
  return end
}

function isEscaped(text: string, quoteAt: number): boolean {
  let slashes = 0
  while (text.charCodeAt(quoteAt - 1 - slashes) === backslash) slashes += 1
  return slashes % 2 === 1
}
