import { isObject } from './workspace.ts'

const quiet: ReadonlySet<string> = new Set(['level', 'time', 'msg', 'message', 'pid', 'hostname', 'service'])
const colors: Readonly<Record<string, string>> = { error: '31', fatal: '31', warn: '33', debug: '90' }

export interface LogLineOptions {
  /** Which process wrote it. */
  readonly source: string
  /** ANSI colours for the level. Default false. */
  readonly color?: boolean
}

/**
 * One JSON log line as a short readable one: time, level, source, message, then the other fields as `key=value`.
 * What is not a JSON object is passed through behind the source's name.
 */
export function formatLogLine(line: string, { source, color = false }: LogLineOptions): string {
  const name = source.padEnd(7)
  const entry = parse(line)
  if (entry === undefined) return `${' '.repeat(15)}${name} ${line}`
  const level = word(entry['level'] ?? 'info')
  const code = color ? colors[level] : undefined
  const shown = code === undefined ? level.padEnd(5) : `\u001B[${code}m${level.padEnd(5)}\u001B[0m`
  const time = /T(\d\d:\d\d:\d\d)/.exec(word(entry['time']))?.[1] ?? ' '.repeat(8)
  const fields = Object.entries(entry)
    .filter(([key]) => !quiet.has(key))
    .map(([key, value]) => `${key}=${word(value)}`)
  return [time, shown, name, word(entry['msg'] ?? entry['message'] ?? ''), ...fields].join(' ').trimEnd()
}

function parse(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    const value: unknown = JSON.parse(line)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

function word(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? null)
}
