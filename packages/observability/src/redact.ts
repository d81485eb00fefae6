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
  /** True for most strings that `text` leaves alone and JSON needs not escape; quicker than to try either. */
  readonly isPlain: (value: string) => boolean
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
// Not a plain word: "Missing bearer token" stays readable.
const bearer = /\b([Bb]earer|BEARER|[Bb]asic)\s+(?=\S*[\dA-Z._~+/=-])[\w.~+/=-]{8,}/g
const urlPassword = /\/\/[^/\s:@]*:[^/\s@]+@/g
// "name": with the quotes escaped or not. The value: a string up to its end, a plain word up to , or }; for an object,
// an array or escaped JSON all that follows, since a regular expression cannot find where they end.
const jsonPair: PairRule = {
  name: /(?<quote>\\{0,8}["'])(?<name>[\w .-]{1,64})\k<quote>\s*:\s*/g,
  value: /"(?:[^"\\]|\\.)*"?|'[^']*'?|[\\[{][^]*|[^\s,}\]]+/y,
}
// name=value and name: value, up to the end of the line or the next & of a query string.
const barePair: PairRule = {
  name: /(?<![\w"'.-])(?<name>[A-Za-z][\w.-]{0,63})\s*[=:]\s*/g,
  value: /[^&\r\n]+/y,
}

interface PairRule {
  /** Matches up to where the value begins. */
  readonly name: RegExp
  readonly value: RegExp
}

/** Each of the built-in rules needs one of these: most strings have none, and nothing to mask. */
const suspect = /[:=@]|ey[AJ]|ew[o0]|earer|EARER|asic/

/** No secret, and nothing to escape: `suspect` needs a sign that isn't here, or a token's beginning. */
const notPlain = /[^\w./*-]|ey[AJ]|ew[o0]/

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
  const rules = createRules(options)
  if (options.patterns !== undefined && options.patterns.length > 0) return rules
  return {
    ...rules,
    text: (value) => (suspect.test(value) ? rules.text(value) : value),
    isPlain: (value) => !notPlain.test(value),
  }
}

/** The same without the quick test: every rule is tried on every string. */
export function createRules(options: RedactOptions): Redactor {
  const isSecret = nameTest([...secretFields, ...(options.fields ?? [])])
  const isSensitive = nameTest([...secretFields, ...textFields, ...(options.fields ?? [])])
  const patterns = (options.patterns ?? []).map((pattern) =>
    pattern.global ? pattern : new RegExp(pattern.source, `${pattern.flags}g`),
  )
  const text = (value: string): string => {
    let out = value.replace(jwt, mask).replace(bearer, `$1 ${mask}`)
    if (out.includes('@')) out = out.replace(urlPassword, `//${mask}@`)
    if (out.includes(':') || out.includes('=')) {
      out = maskPairs(out, jsonPair, isSensitive)
      out = maskPairs(out, barePair, isSecret)
    }
    for (const pattern of patterns) out = out.replace(pattern, mask)
    return out
  }
  return { isSensitive, text, isPlain: () => false }
}

// Not String.replace: a pair can stand inside the value of another (`a: token=x`), so after a harmless name the search
// goes on right behind it.
function maskPairs(text: string, rule: PairRule, isSensitive: (name: string) => boolean): string {
  let out = ''
  let from = 0
  rule.name.lastIndex = 0
  for (let head = rule.name.exec(text); head; head = rule.name.exec(text)) {
    if (!isSensitive(head.groups?.['name'] ?? '')) continue
    const valueAt = rule.name.lastIndex
    rule.value.lastIndex = valueAt
    if (!rule.value.test(text)) continue
    const quote = head.groups?.['quote'] ?? ''
    out += text.slice(from, valueAt) + quote + mask + quote
    from = rule.value.lastIndex
    rule.name.lastIndex = from
  }
  return from === 0 ? text : out + text.slice(from)
}
