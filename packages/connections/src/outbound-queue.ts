import { checkNumbers, maxTimerMs } from './check-numbers.ts'
import { ConnectionsError } from './connections-error.ts'
import type { Frame } from './frame.ts'

/** What a slow socket may lose: nothing, older values of the same key, or the message. */
export type SendKind = 'event' | 'state' | 'ephemeral'

export interface SendOptions {
  /** Default `event`. */
  readonly kind?: SendKind
  /** With `state`: frames with the same key replace each other while they wait. Without a key nothing is replaced. */
  readonly key?: string
}

/**
 * What became of a frame: `sent` leaves with this turn's write; `queued` waits for a slow reader; `conflated` took the
 * place of an older one that waited; `dropped` was ephemeral and there is no room; `closed` nobody will get it.
 */
export type SendResult = 'sent' | 'queued' | 'conflated' | 'dropped' | 'closed'

export const sendResults: readonly SendResult[] = ['sent', 'queued', 'conflated', 'dropped', 'closed']

export interface OutboundLimits {
  /** Bytes not yet taken by the network from which states are conflated and ephemeral frames dropped. Default 256 KiB. */
  readonly softBytes?: number
  /** Bytes beyond which the connection is closed as too slow, not below `softBytes`. Default 1 MiB. */
  readonly hardBytes?: number
  /** Longest time above `softBytes` without the socket getting empty, in ms. Default 10 000. */
  readonly drainTimeoutMs?: number
}

/**
 * The limits with every default filled in. Throws `invalid` unless 0 < `softBytes` <= `hardBytes`, and for a time that no
 * timer takes.
 */
export function toOutboundLimits({
  softBytes = 262_144,
  hardBytes = 1_048_576,
  drainTimeoutMs = 10_000,
}: OutboundLimits = {}): Required<OutboundLimits> {
  checkNumbers({ softBytes, hardBytes })
  checkNumbers({ drainTimeoutMs }, { most: maxTimerMs })
  if (softBytes > hardBytes) throw new ConnectionsError('invalid', 'hardBytes must not be below softBytes')
  return { softBytes, hardBytes, drainTimeoutMs }
}

/** Frames of one connection that wait for its socket to drain: a newer state goes to the end and the older one goes away. */
export class OutboundQueue {
  // In order of insertion: a state's key is its own, any other frame's is a number.
  readonly #held = new Map<string | number, Frame>()
  #bytes = 0
  #count = 0

  get bytes(): number {
    return this.#bytes
  }

  get isEmpty(): boolean {
    return this.#held.size === 0
  }

  /** Behind what waits; true when an older state of `key` was replaced. */
  add(frame: Frame, key?: string): boolean {
    const older = key === undefined ? undefined : this.#held.get(key)
    if (key !== undefined && older !== undefined) {
      this.#held.delete(key)
      this.#bytes -= older.length
    }
    this.#held.set(key ?? this.#count++, frame)
    this.#bytes += frame.length
    return older !== undefined
  }

  /** What waits, oldest first: at least one frame, and more while they fit into `maxBytes`. */
  take(maxBytes: number = Infinity): readonly Frame[] {
    const taken: Frame[] = []
    let bytes = 0
    for (const [key, frame] of this.#held) {
      if (taken.length > 0 && bytes + frame.length > maxBytes) break
      taken.push(frame)
      bytes += frame.length
      this.#held.delete(key)
    }
    this.#bytes -= bytes
    return taken
  }
}
