import type { Frame } from './frame.ts'

/** What a slow socket may lose: nothing, older values of the same key, or the message. */
export type SendKind = 'event' | 'state' | 'ephemeral'

export interface SendOptions {
  /** Default `event`. */
  readonly kind?: SendKind
  /** With `state`: messages with the same key replace each other while they wait. */
  readonly key?: string
}

/** What became of a frame: `queued` waits behind others, `conflated` replaced an older one, `overflow` has no room. */
export type SendResult = 'sent' | 'queued' | 'conflated' | 'dropped' | 'closed'

export interface OutboundLimits {
  /** Bytes not yet on the wire from which states are conflated and ephemeral messages dropped. Default 256 KiB. */
  readonly softBytes: number
  /** Bytes beyond which the socket is closed as too slow. Default 1 MiB. */
  readonly hardBytes: number
  /** Longest time above `softBytes`, in ms. Default 10 000. */
  readonly drainTimeoutMs: number
}

export const defaultOutboundLimits: OutboundLimits = {
  softBytes: 262_144,
  hardBytes: 1_048_576,
  drainTimeoutMs: 10_000,
}

interface Waiting {
  frame: Frame | undefined
  readonly key: string | undefined
}

/**
 * Frames of one socket that were not handed to it yet. Below `softBytes` they leave with the turn; above, they wait here,
 * where a newer state takes the place at the end and the older one goes.
 */
export class OutboundQueue {
  #turn: Frame[] = []
  #turnBytes = 0
  #waiting: Waiting[] = []
  #waitingBytes = 0
  readonly #byKey = new Map<string, Waiting>()

  /** Bytes in the queue. */
  get bytes(): number {
    return this.#turnBytes + this.#waitingBytes
  }

  /** Whether frames wait for the socket to drain. */
  get isHolding(): boolean {
    return this.#waiting.length > 0
  }

  /** For this turn's write. */
  addToTurn(frame: Frame): void {
    this.#turn.push(frame)
    this.#turnBytes += frame.length
  }

  /** Behind what waits; true when an older state of `key` was replaced. */
  hold(frame: Frame, key: string | undefined): boolean {
    const older = key === undefined ? undefined : this.#byKey.get(key)
    if (older?.frame) {
      this.#waitingBytes -= older.frame.length
      older.frame = undefined
    }
    const entry: Waiting = { frame, key }
    this.#waiting.push(entry)
    this.#waitingBytes += frame.length
    if (key !== undefined) this.#byKey.set(key, entry)
    return older !== undefined
  }

  /** This turn's frames, once. */
  takeTurn(): readonly Frame[] {
    const frames = this.#turn
    this.#turn = []
    this.#turnBytes = 0
    return frames
  }

  /** What waits, in order, once. */
  takeHeld(): readonly Frame[] {
    const frames = this.#waiting.flatMap(({ frame }) => (frame ? [frame] : []))
    this.#waiting = []
    this.#waitingBytes = 0
    this.#byKey.clear()
    return frames
  }
}
