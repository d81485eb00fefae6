/** The quick way from fields to JSON: one pass, for events whose fields are all flat and not secret, as nearly all are. */
import { cutText, maxItems } from './plain.ts'
import type { Redactor } from './redact.ts'

/** What `fields` are in JSON, `,"name":value` for each; undefined where only `toPlain` can tell. */
export type FlatFields = (fields: Readonly<Record<string, unknown>>) => string | undefined

const maxKnownNames = 2000

/** A string in JSON, without its secrets. */
export type TextWriter = (value: string) => string

export function createTextWriter({ text, isPlain }: Redactor): TextWriter {
  return (value) => (isPlain(value) ? `"${value}"` : JSON.stringify(text(value)))
}

/** Options of `createFlatFields`. */
export interface FlatFieldsOptions {
  readonly redactor: Redactor
  /** Names that a line has of its own. */
  readonly reserved: ReadonlySet<string>
  readonly text: TextWriter
}

/** Leaves to `toPlain`: values with an inside, sensitive names (their values have to be found elsewhere), `reserved` ones. */
export function createFlatFields({ redactor, reserved, text }: FlatFieldsOptions): FlatFields {
  const { isPlain } = redactor
  /** By name: the JSON in front of its value, or undefined for what is left to `toPlain`. */
  const known = new Map<string, string | undefined>()

  function headOf(name: string): string | undefined {
    const cached = known.get(name)
    if (cached !== undefined) return cached
    if (redactor.isSensitive(name) || reserved.has(name) || name === '__proto__') return undefined
    const head = `,${JSON.stringify(name)}:`
    // Names can come from outside (keys of a parsed body): stop caching rather than grow.
    if (known.size < maxKnownNames) known.set(name, head)
    return head
  }

  return (fields) => {
    // `for in`, the quicker way, would give what is inherited too.
    const prototype: unknown = Object.getPrototypeOf(fields)
    if (prototype !== Object.prototype && prototype !== null) return undefined
    let out = ''
    let count = 0
    for (const name in fields) {
      count += 1
      if (count > maxItems) return undefined
      const value = fields[name]
      if (value === undefined) continue
      const head = headOf(name)
      if (head === undefined) return undefined
      switch (typeof value) {
        case 'string': {
          const shown = cutText(value)
          // A plain one without a string of its own: each is an object, and more to put together in the end.
          out = isPlain(shown) ? `${out}${head}"${shown}"` : out + head + text(shown)
          break
        }
        case 'number':
          out += head + (Number.isFinite(value) ? String(value) : `"${value}"`)
          break
        case 'boolean':
          out += head + String(value)
          break
        default:
          if (value !== null) return undefined
          out += `${head}null`
      }
    }
    return out
  }
}
