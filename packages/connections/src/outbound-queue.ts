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

export interface OutboundLimits {
  /** Bytes not yet taken by the network from which states are conflated and ephemeral frames dropped. Default 256 KiB. */
  readonly softBytes: number
  /** Bytes beyond which the connection is closed as too slow. Default 1 MiB. */
  readonly hardBytes: number
  /** Longest time above `softBytes` without the socket getting empty, in ms. Default 10 000. */
  readonly drainTimeoutMs: number
}

export const defaultOutboundLimits: OutboundLimits = {
  softBytes: 262_144,
  hardBytes: 1_048_576,
  drainTimeoutMs: 10_000,
}

const none: readonly Frame[] = []

/**
 * Frames of one connection that its socket doesn't have yet. Without pressure they leave with the turn. Under pressure
 * they are held, where a newer state goes to the end and the older one goes away.
 */
export class OutboundQueue {
  #turn: Frame[] | undefined
  #turnBytes = 0
  // In order of insertion: a state's key is its own, any other frame's is a number.
  #held: Map<string | number, Frame> | undefined
  #heldBytes = 0
  #heldCount = 0

  /** Bytes in the queue. */
  get bytes(): number {
    return this.#turnBytes + this.#heldBytes
  }

  /** Whether frames wait for the socket to drain. */
  get isHolding(): boolean {
    return this.#held !== undefined
  }

  /** For this turn's write. */
  addToTurn(frame: Frame): void {
    if (this.#turn === undefined) this.#turn = [frame]
    else this.#turn.push(frame)
    this.#turnBytes += frame.length
  }

  /** This turn's frames, once. */
  takeTurn(): readonly Frame[] {
    const frames = this.#turn ?? none
    this.#turn = undefined
    this.#turnBytes = 0
    return frames
  }

  /** Behind what waits; true when an older state of `key` was replaced. */
  hold(frame: Frame, key?: string): boolean {
    this.#held ??= new Map()
    const older = key === undefined ? undefined : this.#held.get(key)
    if (key !== undefined && older !== undefined) {
      this.#held.delete(key)
      this.#heldBytes -= older.length
    }
    this.#held.set(key ?? this.#heldCount++, frame)
    this.#heldBytes += frame.length
    return older !== undefined
  }

  /** What waits, oldest first: at least one frame, and more while they fit into `maxBytes`. */
  takeHeld(maxBytes: number = Infinity): readonly Frame[] {
    const taken: Frame[] = []
    let bytes = 0
    for (const [key, frame] of this.#held ?? []) {
      if (taken.length > 0 && bytes + frame.length > maxBytes) break
      taken.push(frame)
      bytes += frame.length
      this.#held?.delete(key)
    }
    this.#heldBytes -= bytes
    if (this.#held?.size === 0) this.#held = undefined
    return taken
  }
}
