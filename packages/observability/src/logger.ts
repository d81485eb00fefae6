/** Structured logs: one JSON line per event, on winston. */
import winston from 'winston'
import Transport from 'winston-transport'
import { currentContext } from './context.ts'
import { requireOption } from './errors.ts'
import {
  createFlatFields,
  createListedFields,
  createTextWriter,
  type LineFields,
  type LineValue,
} from './flat-fields.ts'
import { isoTime } from './iso-time.ts'
import { LineGate, type LineTarget, type MakeLine } from './line-gate.ts'
import { type Plain, readable, toPlain } from './plain.ts'
import { createRedactor, type RedactOptions } from './redact.ts'
import { activeSpan, isReal } from './spans.ts'

export { currentContext, type RequestContext, runWithContext, setContext } from './context.ts'
export { ObservabilityError, type ObservabilityErrorCode } from './errors.ts'
export type { LineFields, LineValue } from './flat-fields.ts'
export type { LineTarget } from './line-gate.ts'
export { createRedactor, type RedactOptions, type Redactor } from './redact.ts'

/** From loudest to quietest. A logger writes its level and all louder ones. */
export const logLevels: readonly ['error', 'warn', 'info', 'debug'] = ['error', 'warn', 'info', 'debug']

/** One of `logLevels`. */
export type LogLevel = (typeof logLevels)[number]

/**
 * Fields of a log line beside the standard ones. An Error goes in `err`. Values are redacted and bounded. Who says whose
 * request it is (`requestId`) says all ids: those of the running context are not put beside them.
 */
export type LogContext = Readonly<Record<string, unknown>>

/** Called when the line is made, which for `info` and `debug` may be some ms later; gives all ids itself. */
export type LateContext = () => LogContext

/**
 * Writes events. `msg` is a stable event name (`redis_down`), the variable part goes into the context.
 * Never throws and never waits.
 */
export interface Logger {
  readonly error: (msg: string, context?: LogContext | LateContext) => void
  readonly warn: (msg: string, context?: LogContext | LateContext) => void
  readonly info: (msg: string, context?: LogContext | LateContext) => void
  readonly debug: (msg: string, context?: LogContext | LateContext) => void
  /**
   * For an `info` event that comes all the time, as an access line: gives a function that writes it with the values of
   * `fields`, in their order, and costs less than `info`. The line is made later: what was given is not to be changed. As for
   * an event with `requestId`, it has no ids of the running context.
   */
  readonly lines: (msg: string, fields: LineFields) => (values: readonly LineValue[]) => void
  /** A logger that adds `context` to each line; level, sink and counters are shared with its parent. */
  readonly child: (context: LogContext) => Logger
  /** True if a line of this level would be written: ask before building an expensive context. */
  readonly isEnabled: (level: LogLevel) => boolean
  readonly level: () => LogLevel
  /** Takes effect at once, for parents and children alike. */
  readonly setLevel: (level: LogLevel) => void
  /** Lines lost because the sink was not read or is closed. */
  readonly dropped: () => number
  /** Resolves true when no line waits any more, false after `timeoutMs`. Call it before exit. */
  readonly flush: (timeoutMs: number) => Promise<boolean>
}

/** Options of `createLogger`. */
export interface LoggerOptions {
  readonly service: string
  readonly instanceId: string
  /** Default `info`. */
  readonly level?: LogLevel
  /**
   * Default `process.stdout`, to which lines go that were gathered for `joinMs` or 64 KiB; `warn` and `error` go at once,
   * with all before them. Any other stream gets each line at once. Not closed by the logger.
   */
  readonly stream?: LineTarget
  /** For how long lines are gathered to be one write, in ms. Default 20 for `process.stdout`; 0 writes each at once. */
  readonly joinMs?: number
  /** Added to the built-in rules. */
  readonly redact?: RedactOptions
  /** Lines beyond this many bytes waiting are dropped and counted. Default 1 MiB. */
  readonly maxBufferedBytes?: number
  /** Milliseconds since the epoch. Default `Date.now`. */
  readonly now?: () => number
}

const reserved: ReadonlySet<string> = new Set(['level', 'time', 'msg', 'service', 'instanceId'])
const maxLineLength = 65_536
/** A write costs as much as ten lines, half of it to wake the reader. */
const stdoutJoinMs = 20

/** What winston passes on. */
interface LineInfo {
  readonly level: LogLevel
  readonly make: MakeLine
  /** It may be made later: what goes into it cannot change any more. */
  readonly canWait: boolean
}

/**
 * A logger on winston. Each line has `level` (a word), `time` (ISO 8601), `msg`, `service`, `instanceId`, then the ids
 * of the running context, `traceId` and `spanId` inside a span, and the event's own fields.
 * Throws `invalid_option` for a bad level or bound.
 */
export function createLogger(options: LoggerOptions): Logger {
  const { service, instanceId, level = 'info', maxBufferedBytes = 1_048_576, now = Date.now } = options
  requireOption(logLevels.includes(level), `level must be one of ${logLevels.join(', ')}`)
  requireOption(maxBufferedBytes > 0, 'maxBufferedBytes must be above 0')
  const redactor = createRedactor(options.redact)
  const { stream: target = process.stdout } = options
  const { joinMs = target === process.stdout ? stdoutJoinMs : 0 } = options
  const gate = new LineGate({ target, maxBufferedBytes, joinMs })
  const transport = new Transport({
    log: ({ level: name, make: makeLine, canWait }: LineInfo) => {
      const isUrgent = name === 'error' || name === 'warn'
      if (canWait && !isUrgent) gate.later(makeLine)
      else gate.write(makeLine(), isUrgent)
    },
  })
  const root = winston.createLogger({
    level,
    levels: Object.fromEntries(logLevels.map((name, rank) => [name, rank])),
    transports: [transport],
  })
  // Straight to the transport: winston's own way leads through three streams and their ticks.
  const taken = (): void => {}
  root.write = (info: LineInfo): boolean => {
    transport.log?.(info, taken)
    return true
  }
  const text = createTextWriter(redactor)
  const flatFields = createFlatFields({ redactor, reserved, text })
  const timeText = isoTime()
  const origin = `"service":${JSON.stringify(service)},"instanceId":${JSON.stringify(instanceId)}`
  let reported = 0
  let rank = logLevels.indexOf(level)
  // winston would ask each of its transports.
  const isEnabled = (name: LogLevel): boolean => logLevels.indexOf(name) <= rank

  const fieldsText = (fields: LogContext): string =>
    flatFields(fields) ?? membersText(renameReserved(toPlain(fields, redactor)))
  const put = (name: LogLevel, msg: string, fields: LogContext | LateContext): void => {
    const at = now()
    const makeLine = (): string => {
      const own = fieldsText(isLate(fields) ? called(fields) : fields)
      return wholeLine(`{"level":"${name}","time":"${timeText(at)}","msg":${text(msg)},${origin}`, own)
    }
    root.write({ level: name, make: makeLine, canWait: isLate(fields) || isFlat(fields) })
  }
  // Says how many lines are missing, as the first line after the gap.
  const reportDrops = (): void => {
    const count = gate.dropped - reported
    if (count === 0 || !gate.flowing) return
    reported = gate.dropped
    put('warn', 'log_lines_dropped', { count })
  }

  const make = (bound: LogContext): Logger => {
    const isBound = Object.keys(bound).length > 0
    const write = (name: LogLevel, msg: string, context?: LogContext | LateContext): void => {
      if (!isEnabled(name)) return
      reportDrops()
      if (isLate(context)) return put(name, msg, isBound ? () => joined(bound, context()) : context)
      // A copy: the caller may go on with its object before the line is made.
      const own = joined(bound, context)
      if ('requestId' in own) return put(name, msg, own)
      const { traceparent: _, ...ids } = currentContext() ?? {}
      put(name, msg, { ...ids, ...spanIds(), ...own })
    }
    const lines = (msg: string, fields: LineFields): ((values: readonly LineValue[]) => void) => {
      const names = Object.keys(fields)
      const named = (values: readonly LineValue[]): LogContext =>
        Object.fromEntries(names.map((name, index) => [name, values[index]]))
      const listed = isBound ? undefined : createListedFields(fields, { redactor, reserved, text })
      if (!listed) return (values) => write('info', msg, () => named(values))
      const afterTime = `","msg":${text(msg)},${origin}`
      const [infoRank, headOf] = [logLevels.indexOf('info'), lastHead(timeText, afterTime)]
      return (values) => {
        if (rank < infoRank) return
        reportDrops()
        const at = now()
        root.write({
          level: 'info',
          make: () => wholeLine(headOf(at), listed(values)),
          canWait: true,
        })
      }
    }
    return {
      lines,
      error: (msg, context) => write('error', msg, context),
      warn: (msg, context) => write('warn', msg, context),
      info: (msg, context) => write('info', msg, context),
      debug: (msg, context) => write('debug', msg, context),
      child: (context) => make(joined(bound, context)),
      isEnabled,
      level: () => parseLevel(root.level),
      setLevel: (name) => {
        root.level = parseLevel(name)
        rank = logLevels.indexOf(parseLevel(name))
      },
      dropped: () => gate.dropped,
      flush: (timeoutMs) => gate.drained(timeoutMs),
    }
  }
  return make({})
}

/** `value` as a level. Throws `invalid_option` for any other string. */
export function parseLevel(value: string): LogLevel {
  const level = logLevels.find((name) => name === value)
  requireOption(level !== undefined, `level must be one of ${logLevels.join(', ')}`)
  return level ?? 'info'
}

function spanIds(): { traceId?: string; spanId?: string } {
  const span = activeSpan()?.spanContext()
  return span && isReal(span) ? { traceId: span.traceId, spanId: span.spanId } : {}
}

/** A copy of both. Never throws, whatever a getter does. */
function joined(bound: LogContext, context: LogContext | undefined): LogContext {
  try {
    return { ...bound, ...context }
  } catch {
    return { ...bound, ...readable(context ?? {}) }
  }
}

function isLate(context: LogContext | LateContext | undefined): context is LateContext {
  return typeof context === 'function'
}

/** What it gives; the line says so when it throws, for nobody is there to be told and the lines behind it must go out. */
function called(late: LateContext): LogContext {
  try {
    return late()
  } catch (error) {
    return { err: error }
  }
}

/** Whether all values are what they are for good, and not objects that can change. */
function isFlat(fields: LogContext): boolean {
  for (const name in fields) {
    const value = fields[name]
    if ((typeof value === 'object' && value !== null) || typeof value === 'function') return false
  }
  return true
}

/** What an `info` line begins with: those of one millisecond begin alike. */
function lastHead(timeText: (ms: number) => string, afterTime: string): (at: number) => string {
  let last = Number.NaN
  let head = ''
  return (at) => {
    if (at !== last) head = `{"level":"info","time":"${timeText(at)}${afterTime}`
    last = at
    return head
  }
}

function wholeLine(head: string, own: string): string {
  return `${head}${head.length + own.length < maxLineLength ? own : ',"truncated":true'}}\n`
}

/** The members of `fields` in JSON, each with its comma before it. */
function membersText(fields: { [key: string]: Plain }): string {
  const text = JSON.stringify(fields).slice(1, -1)
  return text === '' ? '' : `,${text}`
}

/** A context field never replaces a standard one: Loki's labels and the time order depend on them. */
function renameReserved(fields: { [key: string]: Plain }): { [key: string]: Plain } {
  if (!Object.keys(fields).some((key) => reserved.has(key))) return fields
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [reserved.has(key) ? `context_${key}` : key, value]),
  )
}
