import type { Frame } from './frame.ts'
import type { DirectWay } from './socket-like.ts'

/** A connection, for all that isn't the usual case. */
export interface Writer {
  /** Hands the bytes of a turn to the socket. */
  write(bytes: Buffer): void
  /** The direct way took the bytes, but the network didn't take all of them. */
  settle(bytes: Buffer): void
  /** The direct way threw. */
  fail(error: unknown): void
}

/** Frames that leave in one write. Sockets that got the same frames have the same batch, joined once. */
interface Batch {
  readonly frame: Frame
  readonly before: Batch | undefined
  readonly bytes: number
  /** With the frame that came behind it last. */
  longer: Batch | undefined
  joined: Buffer | undefined
}

// Under load the next turn waits as long as the last one took, at most this: more frames share a write, and reading gets its time.
const maxPauseMs = 5

/**
 * Gives all of `bytes` to each socket of `fds`, file descriptors up to the first that is negative, and waits for none of them. Into
 * `rest` go the places of those that took less or failed, each with the bytes that it took; returns how many. Throws before
 * anything is written, or not at all.
 */
export type SendAll = (fds: Int32Array, bytes: Uint8Array, rest: Int32Array) => number

// As many sockets go into one call.
const maxRun = 1024

/** With more bytes in a turn a connection looks at its bounds itself; a `softBytes` below this never goes the direct way. */
export const maxDirectBytes = 65_536

/**
 * Joins the writes of one event-loop turn: each socket gets one write, and sockets that got the same frames share one
 * joined buffer.
 *
 *   add add add ─▶ [due] ─▶ end of the turn (busy: up to 5 ms later) ─▶ one write per socket
 *
 * What a delivery touches of a connection lies in arrays, by the connection's slot: between two messages the kernel's
 * work on thousands of sockets empties the processor's cache, and an object each costs more than all instructions.
 */
export class WriteTurn {
  // The frames of this turn; undefined: the slot isn't due.
  readonly #batches: (Batch | undefined)[] = []
  readonly #writers: (Writer | undefined)[] = []
  readonly #handles: (object | undefined)[] = []
  /** 1: the connection is open, nothing waits, and the direct way may be used. */
  #isDirect = new Uint8Array(1024)
  /** -1: only the handle may be written to. */
  #fds = new Int32Array(1024)
  #sentBytes = new Float64Array(1024)
  #wroteAtMs = new Float64Array(1024)
  readonly #free: number[] = []
  #size = 0
  #writeDirect: DirectWay['write'] | undefined
  #sendAll: SendAll | undefined
  /** Of the sockets that get the same bytes now, with a negative one behind them. */
  readonly #run = new Int32Array(maxRun + 1)
  readonly #rest = new Int32Array(2 * maxRun)

  #due = new Int32Array(1024)
  #dueCount = 0
  /** The list of the turn before, for the next one. */
  #spare = new Int32Array(1024)
  #callbacks: (() => void)[] = []
  #isScheduled = false
  /** Batches of one frame: the last one. */
  #single: Batch | undefined
  #restedAtMs = 0
  #flushingSinceMs: number | undefined

  /** A slot for a connection, which gives it back by `close`. */
  open(writer: Writer): number {
    const slot = this.#free.pop() ?? this.#size++
    if (slot === this.#isDirect.length) this.#grow(slot * 2)
    this.#batches[slot] = undefined
    this.#handles[slot] = undefined
    this.#fds[slot] = -1
    this.#writers[slot] = writer
    this.#sentBytes[slot] = 0
    this.#wroteAtMs[slot] = 0
    return slot
  }

  close(slot: number): void {
    this.clear(slot)
    this.setDirect(slot, undefined)
    this.#writers[slot] = undefined
    this.#free.push(slot)
  }

  /** Undefined: every byte goes through `Writer.write`. */
  setDirect(slot: number, direct: DirectWay | undefined): void {
    this.#writeDirect ??= direct?.write
    this.#isDirect[slot] = direct !== undefined && direct.write === this.#writeDirect ? 1 : 0
    this.#handles[slot] = direct?.handle
    this.#fds[slot] = this.#isDirect[slot] === 1 ? (direct?.fd ?? -1) : -1
  }

  /** Undefined: back to one call for each socket. */
  useSendAll(sendAll: SendAll | undefined): void {
    this.#sendAll = sendAll
  }

  /** Bytes that the slot got in this turn. */
  bytes(slot: number): number {
    return this.#batches[slot]?.bytes ?? 0
  }

  sentBytes(slot: number): number {
    return this.#sentBytes[slot] ?? 0
  }

  wroteAtMs(slot: number): number {
    return this.#wroteAtMs[slot] ?? 0
  }

  /** What `Writer.write` and `Writer.settle` got rid of. */
  count(slot: number, bytes: number): void {
    this.#sentBytes[slot] = (this.#sentBytes[slot] ?? 0) + bytes
    this.#wroteAtMs[slot] = this.#flushingSinceMs ?? Math.trunc(performance.now())
  }

  add(slot: number, frame: Frame): void {
    const before = this.#batches[slot]
    this.#batches[slot] = this.#extend(before, frame)
    if (before !== undefined) return
    this.#makeDue(slot)
    this.#schedule()
  }

  /** Adds the frame where the direct way may be used; returns the places in `slots` where it may not. */
  addToAll(slots: readonly number[], frame: Frame): readonly number[] {
    const batches = this.#batches
    const isDirect = this.#isDirect
    const others: number[] = []
    let before: Batch | undefined
    let after: Batch | undefined
    for (let at = 0; at < slots.length; at++) {
      const slot = slots[at] ?? -1
      if (isDirect[slot] !== 1) {
        others.push(at)
        continue
      }
      const batch = batches[slot]
      if (after === undefined || batch !== before) {
        before = batch
        after = this.#extend(batch, frame)
      }
      if (after.bytes <= maxDirectBytes) {
        batches[slot] = after
        if (batch === undefined) this.#makeDue(slot)
      } else others.push(at)
    }
    if (this.#dueCount > 0) this.#schedule()
    return others
  }

  /** The frames of this turn, which are no longer due. */
  take(slot: number): Buffer | undefined {
    const batch = this.#batches[slot]
    this.#batches[slot] = undefined
    return batch && join(batch)
  }

  clear(slot: number): void {
    this.#batches[slot] = undefined
  }

  /** Calls back once, behind the writes of all that is due now. */
  after(callback: () => void): void {
    this.#callbacks.push(callback)
    this.#schedule()
  }

  #extend(before: Batch | undefined, frame: Frame): Batch {
    const known = before === undefined ? this.#single : before.longer
    if (known?.frame === frame) return known
    const bytes = (before?.bytes ?? 0) + frame.length
    const batch: Batch = { frame, before, bytes, longer: undefined, joined: undefined }
    if (before === undefined) this.#single = batch
    else before.longer = batch
    return batch
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    const pauseMs = this.#restedAtMs - performance.now()
    // A timer shorter than 1 ms would be longer than it.
    if (pauseMs < 1) setImmediate(this.#flush)
    else setTimeout(this.#flush, pauseMs)
  }

  #makeDue(slot: number): void {
    if (this.#dueCount === this.#due.length) this.#due = copy(this.#due, new Int32Array(2 * this.#dueCount))
    this.#due[this.#dueCount++] = slot
  }

  #grow(size: number): void {
    this.#isDirect = copy(this.#isDirect, new Uint8Array(size))
    this.#fds = copy(this.#fds, new Int32Array(size))
    this.#sentBytes = copy(this.#sentBytes, new Float64Array(size))
    this.#wroteAtMs = copy(this.#wroteAtMs, new Float64Array(size))
  }

  readonly #flush = (): void => {
    const due = this.#due
    const count = this.#dueCount
    const callbacks = this.#callbacks
    // Two lists in turn, whatever is thrown below.
    this.#due = this.#spare
    this.#spare = due
    this.#dueCount = 0
    this.#callbacks = []
    this.#isScheduled = false
    const startedAtMs = performance.now()
    this.#flushingSinceMs = Math.trunc(startedAtMs)
    for (let at = 0; at < count;) at = this.#writeFrom(due, at, count)
    for (const callback of callbacks) callback()
    this.#flushingSinceMs = undefined
    this.#single = undefined
    const endedAtMs = performance.now()
    this.#restedAtMs = endedAtMs + Math.min(maxPauseMs, endedAtMs - startedAtMs)
  }

  /** Writes to the first of what is due, and to those behind it that got the same; returns where the others begin. */
  #writeFrom(due: Int32Array, begin: number, count: number): number {
    const slot = due[begin] ?? -1
    const batch = this.#batches[slot]
    if (batch === undefined) return begin + 1
    const bytes = batch.joined ?? join(batch)
    const alike = this.#sendAll === undefined ? 0 : this.#takeAlike(due.subarray(begin, count), batch)
    if (alike > 0) {
      this.#sendToAll(due.subarray(begin, begin + alike), bytes)
      return begin + alike
    }
    this.#batches[slot] = undefined
    this.#write(slot, bytes)
    return begin + 1
  }

  /** How many of the first slots got this batch and have a file descriptor: they are in `#run`, and no longer due. */
  #takeAlike(due: Int32Array, batch: Batch): number {
    const [batches, fds, run] = [this.#batches, this.#fds, this.#run]
    const most = Math.min(due.length, maxRun)
    let count = 0
    for (; count < most; count++) {
      const slot = due[count] ?? -1
      const fd = fds[slot] ?? -1
      if (batches[slot] !== batch || fd < 0) break
      batches[slot] = undefined
      run[count] = fd
    }
    run[count] = -1
    return count
  }

  #sendToAll(slots: Int32Array, bytes: Buffer): void {
    const rest = this.#rest
    let restCount: number
    try {
      restCount = this.#sendAll?.(this.#run, bytes, rest) ?? 0
    } catch {
      // Nothing is written then: the handles do without it, and no socket of the turn is left out.
      for (const slot of slots) this.#write(slot, bytes)
      return
    }
    for (let at = 0; at < slots.length; at++) this.count(slots[at] ?? -1, bytes.length)
    for (let at = 0; at < restCount; at++) {
      const slot = slots[rest[2 * at] ?? -1] ?? -1
      const taken = rest[2 * at + 1] ?? 0
      // What is left, or the error, is for the handle: it queues, and counts what it gets rid of.
      this.#sentBytes[slot] = (this.#sentBytes[slot] ?? 0) - (bytes.length - taken)
      this.#write(slot, bytes.subarray(taken))
    }
  }

  #write(slot: number, bytes: Buffer): void {
    const handle = this.#handles[slot]
    if (this.#isDirect[slot] !== 1 || handle === undefined) return this.#writers[slot]?.write(bytes)
    try {
      if (this.#writeDirect?.(handle, bytes) === true) this.count(slot, bytes.length)
      else this.#writers[slot]?.settle(bytes)
    } catch (error) {
      // One broken socket must not keep the others of its turn from theirs.
      this.#writers[slot]?.fail(error)
    }
  }
}

/** The event loop is one for the process, and so is the list of who writes at the end of its turn. */
export const turn: WriteTurn = new WriteTurn()

/** Calls back once, behind the writes of all that was sent so far in this turn. */
export function afterWrites(callback: () => void): void {
  turn.after(callback)
}

/** Sockets that keep up are written to by it from now on, many in one call. Undefined: one call for each, as before. */
export function useSendAll(sendAll: SendAll | undefined): void {
  turn.useSendAll(sendAll)
}

function copy<A extends Uint8Array | Int32Array | Float64Array>(from: A, to: A): A {
  to.set(from)
  return to
}

function join(batch: Batch): Buffer {
  if (batch.joined !== undefined) return batch.joined
  if (batch.before === undefined) batch.joined = batch.frame
  else {
    const frames: Frame[] = []
    for (let at: Batch | undefined = batch; at !== undefined; at = at.before) frames.push(at.frame)
    batch.joined = Buffer.concat(frames.toReversed())
  }
  return batch.joined
}
