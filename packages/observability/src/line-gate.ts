import { Writable } from 'node:stream'

/** What a log line can be written to: `process.stdout` or any writable stream. */
export type LineTarget = Pick<NodeJS.WritableStream, 'write' | 'on' | 'removeListener'>

/**
 * The end of winston's pipe. It passes lines on to the target as long as fewer than `maxBufferedBytes` wait there, and
 * drops and counts the rest: a sink that isn't read can cost log lines, never memory or time. Its own queue is always
 * empty, since every write is acknowledged at once.
 */
export class LineGate extends Writable {
  readonly #target: LineTarget
  readonly #maxBufferedBytes: number
  readonly #onTargetError = (): void => {} // Each lost line is counted by its write callback.
  readonly #waiting = new Set<() => void>()
  #pendingBytes = 0
  #dropped = 0

  constructor(target: LineTarget, maxBufferedBytes: number) {
    super({ decodeStrings: false })
    this.#target = target
    this.#maxBufferedBytes = maxBufferedBytes
    // Without a listener a closed stdout (EPIPE) would end the process.
    target.on('error', this.#onTargetError)
  }

  /** Lines dropped since the start. */
  get dropped(): number {
    return this.#dropped
  }

  /** Bytes given to the target and not yet taken by it. */
  get pendingBytes(): number {
    return this.#pendingBytes
  }

  override _write(line: string, _encoding: BufferEncoding, acknowledge: () => void): void {
    acknowledge()
    const bytes = Buffer.byteLength(line)
    if (this.#pendingBytes + bytes > this.#maxBufferedBytes) {
      this.#dropped += 1
      return
    }
    this.#pendingBytes += bytes
    this.#target.write(line, (error?: Error | null) => {
      this.#pendingBytes -= bytes
      if (error) this.#dropped += 1
      if (this.#pendingBytes === 0) for (const resume of this.#waiting) resume()
    })
  }

  /** Resolves true when the target took everything, false when `timeoutMs` passed before. */
  drained(timeoutMs: number): Promise<boolean> {
    if (this.#pendingBytes === 0) return Promise.resolve(true)
    return new Promise((resolve) => {
      const settle = (done: boolean): void => {
        clearTimeout(timer)
        this.#waiting.delete(finished)
        resolve(done)
      }
      const finished = (): void => settle(true)
      const timer = setTimeout(() => settle(false), timeoutMs)
      this.#waiting.add(finished)
    })
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#target.removeListener('error', this.#onTargetError)
    done(error)
  }
}
