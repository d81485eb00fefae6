/**
 * SESSION_STARTED and SESSION_ENDED for the Event service (contract §6): queued, bounded, sent in order, never in the way
 * of a socket. Keys are stable (`session:<connectionId>:started`), so a repeat is harmless. A type that Event refuses as
 * an invalid argument is permanent: reported once, counted, not repeated.
 */
import type { Backends } from '../grpc/backends.ts'
import { GatewayError } from '../errors.ts'

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
  | { readonly type: 'sent' | 'dropped' | 'refused'; readonly eventType: string }
  | { readonly type: 'failed' | 'refused_first'; readonly eventType: string; readonly error: unknown }

export interface SessionEventsOptions {
  readonly event: Backends['event']
  readonly maxQueued?: number
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
  readonly userId: string
  readonly key: string
  readonly payload: Readonly<Record<string, string | number>>
}

const retryMs = 1000

/** Holds at most `maxQueued` (10,000) events; beyond, the oldest is dropped and reported. */
export function createSessionEvents({
  event,
  maxQueued = 10_000,
  onResult,
}: SessionEventsOptions): SessionEvents {
  const queue: Queued[] = []
  const refusedTypes = new Set<string>()
  let sending: Promise<void> | undefined
  let retry: NodeJS.Timeout | undefined

  async function sendFirst(): Promise<boolean> {
    const [next] = queue
    if (!next) return false
    const { eventType, userId, key, payload } = next
    try {
      await event.publishEvent({
        type: eventType,
        tableId: 'lobby',
        userId,
        payload: { ...payload },
        idempotencyKey: key,
      })
      onResult({ type: 'sent', eventType })
    } catch (error) {
      if (!(error instanceof GatewayError) || error.code !== 'invalid_request') {
        onResult({ type: 'failed', eventType, error })
        return false
      }
      onResult(
        refusedTypes.has(eventType)
          ? { type: 'refused', eventType }
          : { type: 'refused_first', eventType, error },
      )
      refusedTypes.add(eventType)
    }
    if (queue[0] === next) queue.shift()
    return true
  }

  function drain(): Promise<void> {
    sending ??= (async () => {
      while (await sendFirst());
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

  function enqueue(item: Queued): void {
    if (queue.length >= maxQueued) {
      const dropped = queue.shift()
      if (dropped) onResult({ type: 'dropped', eventType: dropped.eventType })
    }
    queue.push(item)
    if (retry === undefined) void drain()
  }

  return {
    started({ connectionId, userId, clientType, connectedAtMs }) {
      const payload = { connectionId, clientType, connectedAt: new Date(connectedAtMs).toISOString() }
      enqueue({ eventType: 'SESSION_STARTED', userId, key: `session:${connectionId}:started`, payload })
    },
    ended({ connectionId, userId, clientType, durationMs, reason }) {
      const payload = { connectionId, durationMs, clientType, reason }
      enqueue({ eventType: 'SESSION_ENDED', userId, key: `session:${connectionId}:ended`, payload })
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
