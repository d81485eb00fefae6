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
  readonly #onTargetClose = (): void => this.#giveUp()
  readonly #waiting = new Set<() => void>()
  #pendingBytes = 0
  #pendingLines = 0
  #dropped = 0
  #targetClosed = false

  constructor(target: LineTarget, maxBufferedBytes: number) {
    super({ decodeStrings: false })
    this.#target = target
    this.#maxBufferedBytes = maxBufferedBytes
    // Without a listener a closed stdout (EPIPE) would end the process.
    target.on('error', this.#onTargetError)
    target.on('close', this.#onTargetClose)
  }

  /** Lines dropped since the start. */
  get dropped(): number {
    return this.#dropped
  }

  /** True while a new line has a good chance: the sink is there, and at most half of the bound waits in it. */
  get flowing(): boolean {
    return !this.#targetClosed && this.#pendingBytes <= this.#maxBufferedBytes / 2
  }

  override _write(line: string, _encoding: BufferEncoding, acknowledge: () => void): void {
    acknowledge()
    const bytes = Buffer.byteLength(line)
    if (this.#targetClosed || this.#pendingBytes + bytes > this.#maxBufferedBytes) {
      this.#dropped += 1
      return
    }
    this.#pendingBytes += bytes
    this.#pendingLines += 1
    this.#target.write(line, (error?: Error | null) => {
      if (this.#targetClosed) return
      this.#pendingBytes -= bytes
      this.#pendingLines -= 1
      if (error) this.#dropped += 1
      if (this.#pendingBytes === 0) this.#resume()
    })
  }

  /** A stream that is destroyed in the middle of a write never calls back for it. */
  #giveUp(): void {
    this.#targetClosed = true
    this.#dropped += this.#pendingLines
    this.#pendingBytes = 0
    this.#pendingLines = 0
    this.#resume()
  }

  #resume(): void {
    for (const finished of this.#waiting) finished()
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
    this.#target.removeListener('close', this.#onTargetClose)
    done(error)
  }
}
