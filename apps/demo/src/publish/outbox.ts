import { setTimeout as sleep } from 'node:timers/promises'

/** A delivery that did not work: tried again, given up for good, or pushed out by newer ones. */
export interface OutboxFailure {
  readonly channel: string
  readonly outcome: 'retried' | 'refused' | 'overflowed'
  readonly error: unknown
}

/** Queues that deliver in order, one channel independent of the others. */
export interface Outbox<T> {
  readonly push: (channel: string, item: T) => void
  /** Items that wait or are under way. */
  readonly depth: () => number
  /** Forgets what waits and stops retrying. */
  readonly close: () => void
}

export interface OutboxOptions<T> {
  /** Must end by itself (have a deadline); called again with the same item after a failure. */
  readonly deliver: (item: T) => Promise<void>
  /** Waiting items of a channel; the oldest goes when a newer one needs its place. */
  readonly maxPerChannel: number
  /** Channels whose newest item tells all: it takes the place of those that wait. Default: none. */
  readonly isState?: (channel: string) => boolean
  /** Channels with waiting items; new ones above that are refused. */
  readonly maxChannels: number
  readonly onFailure: (failure: OutboxFailure) => void
}

// gRPC INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, FAILED_PRECONDITION, OUT_OF_RANGE, UNIMPLEMENTED,
// UNAUTHENTICATED: the same message would be refused again.
const finalCodes: ReadonlySet<unknown> = new Set([3, 5, 6, 7, 9, 11, 12, 16])
const minDelayMs = 100
const maxDelayMs = 2000

/** Delivers strictly in order per channel; a failed delivery is retried with backoff (100 ms to 2 s) until it works. */
export function createOutbox<T>(options: OutboxOptions<T>): Outbox<T> {
  const queues = new Map<string, T[]>()
  const closing = new AbortController()

  const deliver = async (channel: string, item: T): Promise<void> => {
    for (let delayMs = minDelayMs; !closing.signal.aborted; delayMs = Math.min(maxDelayMs, delayMs * 2)) {
      try {
        return await options.deliver(item)
      } catch (error) {
        if (closing.signal.aborted) return
        const isFinal = error instanceof Error && 'code' in error && finalCodes.has(error.code)
        options.onFailure({ channel, outcome: isFinal ? 'refused' : 'retried', error })
        if (isFinal) return
        // Half of the wait is random, so that many channels do not retry in step.
        await sleep(delayMs * (0.5 + Math.random() / 2), undefined, { signal: closing.signal }).catch(
          () => {},
        )
      }
    }
  }
  const drain = async (channel: string, queue: T[]): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await deliver(channel, item)
    queues.delete(channel)
  }
  return {
    push: (channel, item) => {
      if (closing.signal.aborted) return
      const waiting = queues.get(channel)
      if (waiting) {
        if (options.isState?.(channel)) waiting.length = 0
        waiting.push(item)
        if (waiting.length <= options.maxPerChannel) return
        waiting.shift()
        return options.onFailure({ channel, outcome: 'overflowed', error: new Error('Queue is full') })
      }
      if (queues.size >= options.maxChannels)
        return options.onFailure({ channel, outcome: 'overflowed', error: new Error('Too many channels') })
      const queue = [item]
      queues.set(channel, queue)
      void drain(channel, queue)
    },
    depth: () => [...queues.values()].reduce((sum, queue) => sum + queue.length + 1, 0),
    close: () => {
      closing.abort()
      for (const queue of queues.values()) queue.length = 0
    },
  }
}
