/** The quick ways from fields to JSON: one pass, for events whose fields are all flat and not secret, as nearly all are. */
import { cutText, maxItems } from './plain.ts'
import type { Redactor } from './redact.ts'

/** What `fields` are in JSON, `,"name":value` for each; undefined where only `toPlain` can tell. */
export type FlatFields = (fields: Readonly<Record<string, unknown>>) => string | undefined

/** What a field of a line may be whose fields are known beforehand. Undefined: this time it has none. */
export type LineValue = string | number | boolean | undefined

/**
 * What is known of such a field. `id`: letters, digits and dashes, made by the program itself; `text`: anything, which may come
 * from outside.
 */
export type LineFields = Readonly<Record<string, 'id' | 'text'>>

/** What `values` are in JSON, in the order of their fields. */
export type ListedFields = (values: readonly LineValue[]) => string

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

/** Whether a line may have the field as it is: its name is neither secret nor one that a line has of its own. */
function isFree(
  name: string,
  { redactor, reserved }: Pick<FlatFieldsOptions, 'redactor' | 'reserved'>,
): boolean {
  return !redactor.isSensitive(name) && !reserved.has(name) && name !== '__proto__'
}

/** In JSON, without the quotes of a string. */
function numberText(value: number): string {
  return Number.isFinite(value) ? String(value) : `"${value}"`
}

/** Leaves to `toPlain`: values with an inside, sensitive names (their values have to be found elsewhere), `reserved` ones. */
export function createFlatFields({ redactor, reserved, text }: FlatFieldsOptions): FlatFields {
  const { isPlain } = redactor
  /** By name: the JSON in front of its value, or undefined for what is left to `toPlain`. */
  const known = new Map<string, string | undefined>()

  function headOf(name: string): string | undefined {
    const cached = known.get(name)
    if (cached !== undefined) return cached
    if (!isFree(name, { redactor, reserved })) return undefined
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
          out += head + numberText(value)
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

interface Column {
  readonly isText: boolean
  /** The JSON in front of its value: behind a string that is still open or not, for a string or not. */
  readonly heads: readonly [string, string, string, string]
  /** The last plain text in it: most come again. */
  known: string | undefined
}

/**
 * The quickest: nothing is looked up by name, and as few strings are put together as can be, for each is an object until the
 * line is written. Undefined where a field isn't free: that is for `createFlatFields` or `toPlain`.
 */
export function createListedFields(fields: LineFields, options: FlatFieldsOptions): ListedFields | undefined {
  if (!Object.keys(fields).every((name) => isFree(name, options))) return undefined
  const { redactor, text } = options
  const columns = Object.entries(fields).map(([name, kind]): Column => {
    const head = `,${JSON.stringify(name)}:`
    return { isText: kind === 'text', heads: [head, `${head}"`, `"${head}`, `"${head}"`], known: undefined }
  })

  function isPlain(value: string, column: Column): boolean {
    if (!column.isText || value === column.known) return true
    if (cutText(value) !== value || !redactor.isPlain(value)) return false
    column.known = value
    return true
  }

  return (values) => {
    let out = ''
    let isOpen = false
    for (let at = 0; at < columns.length; at++) {
      const value = values[at]
      const column = columns[at]
      if (value === undefined || column === undefined) continue
      const { heads } = column
      if (typeof value === 'string' && isPlain(value, column)) {
        out = out + (isOpen ? heads[3] : heads[1]) + value
        isOpen = true
        continue
      }
      out += isOpen ? heads[2] : heads[0]
      isOpen = false
      if (typeof value === 'string') out += text(cutText(value))
      else out += typeof value === 'number' ? numberText(value) : String(value)
    }
    return isOpen ? `${out}"` : out
  }
}
