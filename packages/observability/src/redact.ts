/** What must never reach a sink, on top of the built-in list (tokens, keys, passwords, message text). */
export interface RedactOptions {
  /**
   * Field names whose values are masked wherever they occur, by their last words: `card` covers `card`, `bankCard` and
   * `bank_card`. Case and separators don't matter.
   */
  readonly fields?: readonly string[]
  /** Masked inside any string. Must not match the empty string; the `g` flag is added. */
  readonly patterns?: readonly RegExp[]
}

/** Decides by name and by pattern; see `createRedactor`. */
export interface Redactor {
  readonly isSensitive: (fieldName: string) => boolean
  /** The string with every secret that can be recognised replaced by `mask`. Idempotent. */
  readonly text: (value: string) => string
}

/** Stands in for what was removed. */
export const mask: string = '[redacted]'

const secretFields = [
  'authorization',
  'cookie',
  'set cookie',
  'sec websocket protocol', // browsers can only send a token there
  'token',
  'tokens',
  'access token',
  'accesstoken',
  'id token',
  'idtoken',
  'refreshtoken',
  'jwt',
  'password',
  'passwd',
  'passphrase',
  'secret',
  'credential',
  'credentials',
  'api key',
  'apikey',
  'private key',
  'claims',
  'text',
]
/** Too common in prose for `name: value` there: masked as a field and as a JSON key only. */
const textFields = ['message', 'content', 'body', 'payload']

// A JWT's first part is base64url of `{"…`, `{ …` or `{\n…`: eyJ, eyA, ewo, ew0. A cut-off token is one too.
const jwt = /(?<![A-Za-z0-9])(?:ey[AJ]|ew[o0])[\w-]{14,}(?:\.[\w-]*){0,4}/g
const bearer = /\b(bearer|basic)\s+[\w.~+/=-]{16,}/gi
const urlPassword = /\/\/[^/\s:@]*:[^/\s@]+@/g
// "name": value. Strings, arrays and objects up to their end, escaped JSON to the end of the line, else up to , or }.
const jsonPair =
  /(\\*["'])([\w .-]{1,64})\1(\s*:\s*)("(?:[^"\\]|\\.)*"?|\\.*|\[[^\]]*\]?|\{[^}]*\}?|[^\s,}\]]+)/g
// name=value and name: value, up to the end of the line or the next & of a query string.
const barePair = /(?<![\w"'.-])([A-Za-z][\w.-]{0,63})(\s*[=:]\s*)([^&\r\n]+)/g

const maxCachedNames = 2000

function normalise(name: string): string {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/[^A-Za-z0-9]+/g, ' ')
    .trim()
    .toLowerCase()
}

function nameTest(fields: readonly string[]): (name: string) => boolean {
  const whole = new Set(fields.map(normalise))
  const endings = [...whole].map((field) => ` ${field}`)
  const known = new Map<string, boolean>()
  return (name) => {
    const cached = known.get(name)
    if (cached !== undefined) return cached
    const plain = normalise(name)
    const found = whole.has(plain) || endings.some((ending) => plain.endsWith(ending))
    // Names can come from outside (keys of a parsed body): stop caching rather than grow.
    if (known.size < maxCachedNames) known.set(name, found)
    return found
  }
}

/**
 * The rules of `RedactOptions` made ready. In strings it masks: anything JWT-shaped, `Bearer …`, passwords in URLs,
 * `"field": value` and `field=value` of sensitive fields, and the given patterns.
 */
export function createRedactor(options: RedactOptions = {}): Redactor {
  const isSecret = nameTest([...secretFields, ...(options.fields ?? [])])
  const isSensitive = nameTest([...secretFields, ...textFields, ...(options.fields ?? [])])
  const patterns = (options.patterns ?? []).map((pattern) =>
    pattern.global ? pattern : new RegExp(pattern.source, `${pattern.flags}g`),
  )
  const maskJsonPair = (...[pair, quote, name, colon]: [string, string, string, string]): string =>
    isSensitive(name) ? `${quote}${name}${quote}${colon}${mask}` : pair
  const text = (value: string): string => {
    let out = value.replace(jwt, mask).replace(bearer, `$1 ${mask}`)
    if (out.includes('@')) out = out.replace(urlPassword, `//${mask}@`)
    if (out.includes(':') || out.includes('=')) {
      out = out.replace(jsonPair, maskJsonPair)
      out = maskBarePairs(out, isSecret)
    }
    for (const pattern of patterns) out = out.replace(pattern, mask)
    return out
  }
  return { isSensitive, text }
}

// Not String.replace: `a: token=x` has the pair token=x inside the value of a, so a harmless pair must be
// re-entered right behind its separator.
function maskBarePairs(value: string, isSecret: (name: string) => boolean): string {
  let out = ''
  let from = 0
  barePair.lastIndex = 0
  for (let pair = barePair.exec(value); pair; pair = barePair.exec(value)) {
    const [whole, name = '', separator = ''] = pair
    const valueAt = pair.index + name.length + separator.length
    if (isSecret(name)) {
      out += value.slice(from, valueAt) + mask
      from = pair.index + whole.length
    } else barePair.lastIndex = valueAt
  }
  return from === 0 ? value : out + value.slice(from)
}
