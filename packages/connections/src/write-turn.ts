import type { Frame } from './frame.ts'

/** Something with frames to write at the end of a turn. */
export interface Flushable {
  flush(): void
}

// Under load the next turn waits as long as the last one took, at most this: more frames share a write, and reading gets its time.
const maxPauseMs = 5

/**
 * Joins the writes of one event-loop turn: each socket gets one write, and sockets that got the same frames share one
 * joined buffer.
 *
 *   send send send ─▶ [due] ─▶ end of the turn (busy: up to 5 ms later) ─▶ one write per socket
 */
export class WriteTurn {
  #due: Flushable[] = []
  #restedAtMs = 0
  #flushingSinceMs: number | undefined
  #joinedFrom: readonly Frame[] = []
  #joined: Buffer | undefined

  /** `performance.now()` in whole ms, as of its beginning while a turn is written: asked for every socket. */
  get nowMs(): number {
    return this.#flushingSinceMs ?? Math.trunc(performance.now())
  }

  /** `flushable.flush()` is called once at the end of the turn; add it again only after that. */
  add(flushable: Flushable): void {
    if (this.#due.push(flushable) > 1) return
    const pauseMs = this.#restedAtMs - performance.now()
    // A timer shorter than 1 ms would be longer than it.
    if (pauseMs < 1) setImmediate(this.#flush)
    else setTimeout(this.#flush, pauseMs)
  }

  /** The frames as one buffer: the last one again when the frames are the same. */
  join(frames: readonly Frame[]): Buffer {
    if (this.#joined !== undefined && isSame(frames, this.#joinedFrom)) return this.#joined
    this.#joinedFrom = frames
    this.#joined = Buffer.concat(frames)
    return this.#joined
  }

  readonly #flush = (): void => {
    const due = this.#due
    this.#due = []
    const startedAtMs = performance.now()
    this.#flushingSinceMs = Math.trunc(startedAtMs)
    for (const flushable of due) flushable.flush()
    this.#flushingSinceMs = undefined
    this.#joined = undefined
    this.#joinedFrom = []
    const endedAtMs = performance.now()
    this.#restedAtMs = endedAtMs + Math.min(maxPauseMs, endedAtMs - startedAtMs)
  }
}

function isSame(some: readonly Frame[], others: readonly Frame[]): boolean {
  if (some.length !== others.length) return false
  for (let at = 0; at < some.length; at++) if (some[at] !== others[at]) return false
  return true
}
