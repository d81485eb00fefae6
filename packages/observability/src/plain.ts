/**
 * Turns anything that was logged into plain JSON data: bounded in depth and size, without secrets, never throwing.
 */
import { mask, type Redactor } from './redact.ts'

/** JSON data. */
export type Plain = string | number | boolean | null | Plain[] | { [key: string]: Plain }

const maxDepth = 6
/** Of a list or an object; the rest is counted. */
export const maxItems = 100
const maxStringLength = 8192
const maxCauses = 4
/** Shorter secrets ("ok") are too common to be searched for in the other strings of an event. */
const minSecretLength = 4
const maxSecrets = 50

interface Walk {
  readonly redactor: Redactor
  /** Strings found under sensitive names: removed from all other strings of the same event. */
  readonly secrets: Set<string>
  readonly open: Set<object>
  causes: number
}

/**
 * The JSON form of `fields`. Values of sensitive fields become the mask, and where such a value occurs again in
 * another string of the same event (an error that quotes its input) it is masked there too.
 */
export function toPlain(fields: object, redactor: Redactor): { [key: string]: Plain } {
  const walk: Walk = { redactor, secrets: new Set(), open: new Set(), causes: 0 }
  const out = plainObject(fields, 0, walk)
  if (walk.secrets.size === 0) return out
  const secrets = [...walk.secrets].sort((a, b) => b.length - a.length)
  return Object.fromEntries(Object.entries(out).map(([key, value]) => [key, without(secrets, value)]))
}

function without(secrets: readonly string[], value: Plain): Plain {
  if (typeof value === 'string') return secrets.reduce((text, secret) => text.replaceAll(secret, mask), value)
  if (Array.isArray(value)) return value.map((item) => without(secrets, item))
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, without(secrets, item)]))
}

function plainObject(source: object, depth: number, walk: Walk): { [key: string]: Plain } {
  const out: { [key: string]: Plain } = {}
  const keys = Object.keys(source)
  for (const key of keys.slice(0, maxItems)) {
    const value = plain(read(source, key), { key, depth }, walk)
    if (value !== undefined) out[key] = value
  }
  if (keys.length > maxItems) out['…'] = `${keys.length - maxItems} more`
  return out
}

function read(source: object, key: string): unknown {
  try {
    return Reflect.get(source, key)
  } catch {
    return '[unreadable]'
  }
}

/** A copy of what can be read of `source`. */
export function readable(source: object): { [key: string]: unknown } {
  return Object.fromEntries(Object.keys(source).map((key) => [key, read(source, key)]))
}

/** Libraries do put other things than strings into an error's own fields. */
function readText(source: object, key: string): string {
  const value = read(source, key)
  return typeof value === 'string' ? value : ''
}

interface Place {
  readonly key: string
  readonly depth: number
}

function plain(value: unknown, place: Place, walk: Walk): Plain | undefined {
  if (value === undefined || typeof value === 'function' || typeof value === 'symbol') return undefined
  if (value === null || typeof value === 'boolean') return value
  if (walk.redactor.isSensitive(place.key)) {
    collect(value, walk)
    return mask
  }
  switch (typeof value) {
    case 'string':
      return text(value, walk)
    case 'number':
      return Number.isFinite(value) ? value : String(value)
    case 'bigint':
      return value.toString()
    default:
      return typeof value === 'object' ? plainComplex(value, place, walk) : undefined
  }
}

function plainComplex(value: object, place: Place, walk: Walk): Plain {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString()
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`
  if (value instanceof URL) return text(value.href, walk)
  if (walk.open.has(value)) return '[circular]'
  if (place.depth >= maxDepth) return '[too deep]'
  walk.open.add(value)
  try {
    const inner = { key: '', depth: place.depth + 1 }
    if (value instanceof Error) return plainError(value, inner.depth, walk)
    if (value instanceof Map) return plainObject(Object.fromEntries(value), inner.depth, walk)
    if (Array.isArray(value) || value instanceof Set) {
      const items = [...value]
      const out = items.slice(0, maxItems).map((item) => plain(item, inner, walk) ?? null)
      return items.length > maxItems ? [...out, `${items.length - maxItems} more`] : out
    }
    return plainObject(value, inner.depth, walk)
  } finally {
    walk.open.delete(value)
  }
}

function plainError(error: Error, depth: number, walk: Walk): Plain {
  const [original, name, trace] = [
    readText(error, 'message'),
    readText(error, 'name'),
    readText(error, 'stack'),
  ]
  const message = text(safeMessage(name, original), walk)
  const out: { [key: string]: Plain } = { type: text(name, walk), message }
  const code = read(error, 'code')
  if (typeof code === 'string' || typeof code === 'number')
    out['code'] = typeof code === 'string' ? text(code, walk) : code
  if (trace !== '') out['stack'] = text(original === '' ? trace : trace.replaceAll(original, message), walk)
  if (error.cause !== undefined && walk.causes < maxCauses) {
    walk.causes += 1
    const cause = plain(error.cause, { key: 'cause', depth }, walk)
    if (cause !== undefined) out['cause'] = cause
  }
  return out
}

/** JSON.parse quotes what it could not read, and that is a client's message. */
function safeMessage(name: string, message: string): string {
  return name === 'SyntaxError' ? message.replace(/["'`].*["'`]/s, mask) : message
}

function text(value: string, walk: Walk): string {
  return walk.redactor.text(cutText(value))
}

/** The string, or as much of it as a line takes. */
export function cutText(value: string): string {
  return value.length > maxStringLength ? `${value.slice(0, maxStringLength)}…` : value
}

function collect(value: unknown, walk: Walk): void {
  if (walk.secrets.size >= maxSecrets) return
  if (typeof value === 'string') {
    if (value.length >= minSecretLength && value !== mask) walk.secrets.add(value)
  } else if (Array.isArray(value)) for (const item of value.slice(0, maxItems)) collect(item, walk)
}
