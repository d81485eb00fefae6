/** What a log line can be written to: `process.stdout` or any writable stream. */
export type LineTarget = Pick<NodeJS.WritableStream, 'write' | 'on' | 'removeListener'>

/** Options of `LineGate`. */
export interface LineGateOptions {
  readonly target: LineTarget
  readonly maxBufferedBytes: number
  /** For how long lines are gathered to be written together; the process's exit writes them too. 0: each at once. */
  readonly joinMs: number
}

/** More bytes are written before the time is over. */
const maxJoinedBytes = 65_536
/** As above, for lines that are not made yet: of fewer at a time each costs more. */
const maxLateLines = 500
/** Of one UTF-16 unit in UTF-8. */
const maxUnitBytes = 3

/** Gives a line, which ends in a line break. */
export type MakeLine = () => string

/**
 * Passes lines on to the target as long as fewer than `maxBufferedBytes` wait, and drops and counts the rest: a sink that
 * isn't read can cost log lines, never memory or time.
 */
export class LineGate {
  readonly #target: LineTarget
  readonly #maxBufferedBytes: number
  readonly #joinMs: number
  readonly #waiting = new Set<() => void>()
  /** Accepted, and not yet taken by the target. */
  #pendingBytes = 0
  #pendingLines = 0
  /** Of these, the ones that were not given to the target yet: bytes at once, for text in parts would wait in pieces. */
  #joined: Buffer | undefined
  #joinedBytes = 0
  #joinedLines = 0
  /** The last of all: behind what was joined. */
  #late: MakeLine[] = []
  #timer: NodeJS.Timeout | undefined
  #dropped = 0
  #targetClosed = false

  constructor({ target, maxBufferedBytes, joinMs }: LineGateOptions) {
    this.#target = target
    this.#maxBufferedBytes = maxBufferedBytes
    this.#joinMs = joinMs
    // Without a listener a closed stdout (EPIPE) would end the process. Each lost line is counted by its write callback.
    target.on('error', () => {})
    target.on('close', () => this.#giveUp())
    if (joinMs > 0) process.on('exit', () => this.#writeJoined())
  }

  /** Lines dropped since the start. */
  get dropped(): number {
    return this.#dropped
  }

  /** True while a new line has a good chance: the sink is there, and at most half of the bound waits in it. */
  get flowing(): boolean {
    return !this.#targetClosed && this.#pendingBytes <= this.#maxBufferedBytes / 2
  }

  /** `line` ends in a line break. One that `isUrgent` takes those before it along at once: the process may be about to end. */
  write(line: string, isUrgent: boolean): void {
    this.#makeLate()
    this.#join(line)
    if (this.#joinMs === 0 || isUrgent || this.#joinedBytes > maxJoinedBytes) this.#writeJoined()
    else this.#startTimer()
  }

  /** A line that is made when it is written: one after the other, lines cost a third of what each costs between other work. */
  later(make: MakeLine): void {
    if (this.#joinMs === 0) return this.write(make(), false)
    this.#late.push(make)
    if (this.#late.length >= maxLateLines) this.#writeJoined()
    else this.#startTimer()
  }

  #startTimer(): void {
    this.#timer ??= setTimeout(() => this.#writeJoined(), this.#joinMs)
  }

  #makeLate(): void {
    if (this.#late.length === 0) return
    const late = this.#late
    this.#late = []
    for (const make of late) this.#join(make())
  }

  #join(line: string): void {
    if (this.#targetClosed || this.#pendingBytes + line.length > this.#maxBufferedBytes) {
      this.#dropped += 1
      return
    }
    const mostBytes = line.length * maxUnitBytes
    if (this.#joined === undefined || this.#joinedBytes + mostBytes > this.#joined.length)
      this.#joined = this.#larger(mostBytes)
    const bytes = this.#joined.write(line, this.#joinedBytes)
    this.#joinedBytes += bytes
    this.#joinedLines += 1
    this.#pendingBytes += bytes
    this.#pendingLines += 1
  }

  /** With room for `more`; it stays as large as the most that ever was there at once. */
  #larger(more: number): Buffer {
    const larger = Buffer.allocUnsafeSlow(
      Math.max(this.#joinedBytes + more, 2 * (this.#joined?.length ?? 512)),
    )
    this.#joined?.copy(larger, 0, 0, this.#joinedBytes)
    return larger
  }

  #writeJoined(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#makeLate()
    if (this.#joined === undefined || this.#joinedLines === 0) return
    const bytes = Buffer.from(this.#joined.subarray(0, this.#joinedBytes))
    const lines = this.#joinedLines
    this.#joinedBytes = 0
    this.#joinedLines = 0
    this.#target.write(bytes, (error?: Error | null) => {
      if (this.#targetClosed) return
      this.#pendingBytes -= bytes.length
      this.#pendingLines -= lines
      if (error) this.#dropped += lines
      if (this.#pendingBytes === 0) this.#resume()
    })
  }

  /** A stream that is destroyed in the middle of a write never calls back for it. */
  #giveUp(): void {
    this.#targetClosed = true
    this.#dropped += this.#pendingLines
    this.#pendingBytes = 0
    this.#pendingLines = 0
    this.#joinedBytes = 0
    this.#joinedLines = 0
    this.#resume()
  }

  #resume(): void {
    for (const finished of this.#waiting) finished()
  }

  /** Resolves true when the target took everything, false when `timeoutMs` passed before. */
  drained(timeoutMs: number): Promise<boolean> {
    this.#writeJoined()
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
}
