/** Updates that existing backends publish on the platform's old channel (contract §5.1), as channel messages. */
import { createHash } from 'node:crypto'
import { extractTraceparent } from '@gw/observability/tracing'
import { z } from 'zod'

const envelope = z.object({
  channel: z.enum(['table', 'chat', 'timer', 'lobby']),
  tableId: z.string().min(1).max(128),
  payload: z.looseObject({ type: z.string().min(1) }),
  sourceId: z.string().min(1),
  // Additions of ours; whoever sends something else there is heard all the same.
  traceparent: z
    .string()
    .refine((text) => extractTraceparent(text) !== undefined)
    .optional()
    .catch(undefined),
  requestId: z
    .string()
    .regex(/^[\x21-\x7e]{1,128}$/)
    .optional()
    .catch(undefined),
})

const lobbyPayload = z.looseObject({
  tables: z.array(z.looseObject({ config: z.looseObject({}).optional() })),
})

export interface ChannelPublication {
  readonly channel: string
  readonly data: string
  /** Of a table's snapshot: its content, which every instance hears alike, whatever is added to it on its way. */
  readonly idempotencyKey?: string
  /** The trace and the request that it belongs to, where the backend says so. */
  readonly traceparent?: string
  readonly requestId?: string
  /** Who published: own instances are skipped by the caller. */
  readonly sourceId: string
}

/** What is wrong with an envelope: it is no JSON object, or the first of its fields that is not as it must be. */
export const malformedReasons = ['json', 'channel', 'tableId', 'payload', 'sourceId'] as const
export type MalformedReason = (typeof malformedReasons)[number]

export interface MalformedEnvelope {
  readonly malformed: MalformedReason
  /** Who published, where that much can be read. */
  readonly sourceId?: string
}

/** Something came on the old channel that is no envelope: it is passed over, and whoever waits for it sees nothing. */
export interface IngestEvent {
  readonly type: 'ingest_malformed'
  readonly reason: MalformedReason
  readonly sourceId?: string
}

const digest = (data: string): string => createHash('sha256').update(data).digest('base64url')

/** The web client's schema wants `bettingStructure`, which Game leaves out of lobby rows. */
export function normaliseLobby(payload: unknown): unknown {
  const parsed = lobbyPayload.safeParse(payload)
  if (!parsed.success) return payload
  const tables = parsed.data.tables.map((table) => ({
    ...table,
    config: { bettingStructure: 'NoLimit', ...table.config },
  }))
  return { ...parsed.data, tables }
}

function malformed(json: unknown, field: PropertyKey | undefined): MalformedEnvelope {
  const sourceId = typeof json === 'object' && json !== null && 'sourceId' in json ? json.sourceId : undefined
  return {
    malformed: malformedReasons.find((reason) => reason === field) ?? 'json',
    ...(typeof sourceId === 'string' && sourceId !== '' && { sourceId }),
  }
}

/** Parses one envelope, or says what is wrong with it. Timer messages belong to their table. */
export function parseIngestEnvelope(raw: Buffer | string): ChannelPublication | MalformedEnvelope {
  let json: unknown
  try {
    json = JSON.parse(raw.toString())
  } catch {
    return { malformed: 'json' }
  }
  const parsed = envelope.safeParse(json)
  if (!parsed.success) return malformed(json, parsed.error.issues[0]?.path[0])
  const { channel, tableId, payload, sourceId, traceparent, requestId } = parsed.data
  const origin = { sourceId, ...(traceparent && { traceparent }), ...(requestId && { requestId }) }
  switch (channel) {
    case 'lobby':
      return { channel: 'lobby', data: JSON.stringify(payload), ...origin }
    case 'chat':
      return { channel: `chat:${tableId}`, data: JSON.stringify(payload), ...origin }
    case 'table':
    case 'timer': {
      const data = JSON.stringify(payload)
      return {
        channel: `table:${tableId}`,
        data,
        // A state with the same version and times is the same state. Other messages may be meant twice.
        ...(payload.type === 'TableSnapshot' && { idempotencyKey: digest(data) }),
        ...origin,
      }
    }
  }
}
