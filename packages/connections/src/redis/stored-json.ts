import type { LocatedConnection, StoredConnection } from '../connection-store.ts'

/** A connection as it is kept. */
export function toJson(connection: StoredConnection, instanceId: string): string {
  const { connectionId, userId, connectedAtMs, metadata } = connection
  return JSON.stringify({ connectionId, userId, connectedAtMs, instanceId, ...(metadata && { metadata }) })
}

/** The connection, or undefined for what a version that this one doesn't know has written. */
function parseStored(json: unknown): LocatedConnection | undefined {
  if (typeof json !== 'string') return undefined
  const value = parseJson(json)
  if (!isObject(value)) return undefined
  const { connectionId, userId, connectedAtMs, instanceId, metadata } = value
  if (typeof connectionId !== 'string' || typeof userId !== 'string') return undefined
  if (typeof connectedAtMs !== 'number' || typeof instanceId !== 'string') return undefined
  return {
    connectionId,
    userId,
    connectedAtMs,
    instanceId,
    ...(isObject(metadata) && { metadata: onlyStrings(metadata) }),
  }
}

/** All that can be read of a script's reply. */
export function parseAllStored(replies: readonly unknown[]): LocatedConnection[] {
  return replies.map((json) => parseStored(json)).filter((connection) => connection !== undefined)
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function onlyStrings(values: Readonly<Record<string, unknown>>): Record<string, string> {
  const strings: Record<string, string> = {}
  for (const [name, value] of Object.entries(values)) if (typeof value === 'string') strings[name] = value
  return strings
}
