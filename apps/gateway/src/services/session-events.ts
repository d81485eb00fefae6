/**
 * SESSION_STARTED and SESSION_ENDED for the Event service (contract §6): queued, bounded, never in the way of a socket.
 *
 *   queue ▶ batch: the oldest, at once, at most one of each connection ▶ sent, refused or given up: gone
 *                                                                      └ may pass: they stay, the next batch a moment later
 *
 * Keys are stable (`session:<connectionId>:started`), so a repeat is harmless. A type that Event refuses as an invalid
 * argument is permanent: reported once, counted, not repeated. (Contract §4.3 does not know what `PublishEvents` answers.)
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { Backends } from '../grpc/backends.ts'
import { type ErrorCode, errorTable, GatewayError } from '../errors.ts'

export interface SessionStarted {
  readonly connectionId: string
  readonly userId: string
  readonly clientType: 'web' | 'mobile'
  readonly connectedAtMs: number
}

export interface SessionEnded {
  readonly connectionId: string
  readonly userId: string
  readonly clientType: 'web' | 'mobile'
  readonly durationMs: number
  readonly reason: string
}

export type SessionEventResult =
  | { readonly type: 'sent' | 'dropped'; readonly eventType: string }
  | {
      readonly type: 'failed' | 'given_up' | 'refused' | 'refused_first'
      readonly eventType: string
      readonly error: unknown
    }

export interface SessionEventsOptions {
  readonly event: Pick<Backends['event'], 'publishEvent'>
  readonly maxQueued?: number
  /** Events on their way at once. Default 32. */
  readonly maxBatch?: number
  /** Until the next try when Event is away. Default 1000. */
  readonly retryMs?: number
  readonly onResult: (result: SessionEventResult) => void
}

export interface SessionEvents {
  started(session: SessionStarted): void
  ended(session: SessionEnded): void
  readonly queued: number
  /** Sends what is queued, for at most `timeoutMs`. */
  flush(timeoutMs: number): Promise<void>
}

interface Queued {
  readonly eventType: string
  readonly connectionId: string
  readonly userId: string
  readonly key: string
  readonly payload: Readonly<Record<string, string | number>>
  /** Failures that another try is not known to cure. */
  failures: number
  /** Runs in the asynchronous context of the session it is of: its ids, its trace. */
  readonly run: <T>(fn: () => T) => T
}

const maxFailures = 3

type Fate = 'gone' | 'stays'

/** Holds at most `maxQueued` (10,000) events; beyond, the oldest is dropped and reported. */
export function createSessionEvents({
  event,
  maxQueued = 10_000,
  maxBatch = 32,
  retryMs = 1000,
  onResult,
}: SessionEventsOptions): SessionEvents {
  const queue: Queued[] = []
  const refusedTypes = new Set<string>()
  /** The loop and its timer are of no session. */
  const outside = AsyncLocalStorage.snapshot()
  let sending: Promise<void> | undefined
  let retry: NodeJS.Timeout | undefined

  /** The oldest; an end goes behind its start, never beside it. */
  function nextBatch(): Queued[] {
    const connections = new Set<string>()
    const batch: Queued[] = []
    for (const item of queue) {
      if (batch.length === maxBatch || connections.has(item.connectionId)) break
      connections.add(item.connectionId)
      batch.push(item)
    }
    return batch
  }

  function fateOf(item: Queued, error: unknown): Fate {
    const { eventType } = item
    const code: ErrorCode = error instanceof GatewayError ? error.code : 'internal'
    if (code === 'invalid_request') {
      const type = refusedTypes.has(eventType) ? 'refused' : 'refused_first'
      refusedTypes.add(eventType)
      onResult({ type, eventType, error })
      return 'gone'
    }
    if (errorTable[code].retryable || ++item.failures < maxFailures) {
      onResult({ type: 'failed', eventType, error })
      return 'stays'
    }
    onResult({ type: 'given_up', eventType, error })
    return 'gone'
  }

  async function send(item: Queued): Promise<Fate> {
    const { eventType, userId, key, payload } = item
    try {
      const { success } = await event.publishEvent({
        type: eventType,
        tableId: 'lobby',
        userId,
        payload: { ...payload },
        idempotencyKey: key,
      })
      if (!success) return fateOf(item, new Error('Event answered success: false'))
      onResult({ type: 'sent', eventType })
      return 'gone'
    } catch (error) {
      return fateOf(item, error)
    }
  }

  /** False when nothing is left, or what is left has to wait. */
  async function sendBatch(): Promise<boolean> {
    const batch = nextBatch()
    const fates = await Promise.all(batch.map((item) => item.run(() => send(item))))
    const gone = new Set(batch.filter((_, at) => fates[at] === 'gone'))
    for (const item of gone) {
      const at = queue.indexOf(item)
      if (at >= 0) queue.splice(at, 1)
    }
    return batch.length > 0 && gone.size === batch.length
  }

  function drain(): Promise<void> {
    sending ??= (async () => {
      while (await sendBatch());
      sending = undefined
      if (queue.length > 0 && retry === undefined) {
        retry = setTimeout(() => {
          retry = undefined
          void drain()
        }, retryMs).unref()
      }
    })()
    return sending
  }

  function enqueue(item: Omit<Queued, 'failures' | 'run'>): void {
    if (queue.length >= maxQueued) {
      const dropped = queue.shift()
      if (dropped) onResult({ type: 'dropped', eventType: dropped.eventType })
    }
    queue.push({ ...item, failures: 0, run: AsyncLocalStorage.snapshot() })
    if (retry === undefined) void outside(drain)
  }

  return {
    started({ connectionId, userId, clientType, connectedAtMs }) {
      const payload = { connectionId, clientType, connectedAt: new Date(connectedAtMs).toISOString() }
      const key = `session:${connectionId}:started`
      enqueue({ eventType: 'SESSION_STARTED', connectionId, userId, key, payload })
    },
    ended({ connectionId, userId, clientType, durationMs, reason }) {
      const payload = { connectionId, durationMs, clientType, reason }
      const key = `session:${connectionId}:ended`
      enqueue({ eventType: 'SESSION_ENDED', connectionId, userId, key, payload })
    },
    get queued() {
      return queue.length
    },
    async flush(timeoutMs) {
      const { promise: late, resolve } = Promise.withResolvers<void>()
      const timer = setTimeout(resolve, timeoutMs)
      await Promise.race([drain(), late])
      clearTimeout(timer)
      clearTimeout(retry)
    },
  }
}
