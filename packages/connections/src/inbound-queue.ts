/** One message of a peer. */
export interface InboundMessage {
  readonly data: Buffer
  readonly isBinary: boolean
}

export interface InboundQueueOptions {
  readonly maxMessages: number
  readonly maxBytes: number
  readonly handle: (message: InboundMessage) => void | Promise<void>
  /** `full` is said once when a bound is reached, `ready` once when half of it is free again. */
  readonly onPressure: (state: 'full' | 'ready') => void
  readonly onError: (error: unknown) => void
}

/** Hands messages to one handler, strictly in order, one at a time. Bounded by asking the reader to stop. */
export class InboundQueue {
  readonly #options: InboundQueueOptions
  readonly #waiting: InboundMessage[] = []
  #bytes = 0
  #busy = false
  #full = false
  #closed = false

  constructor(options: InboundQueueOptions) {
    this.#options = options
  }

  /** Messages that wait or are being handled. */
  get size(): number {
    return this.#waiting.length + (this.#busy ? 1 : 0)
  }

  push(message: InboundMessage): void {
    if (this.#closed) return
    this.#waiting.push(message)
    this.#bytes += message.data.length
    if (!this.#busy) void this.#run()
    const { maxMessages, maxBytes, onPressure } = this.#options
    if (!this.#full && (this.#waiting.length >= maxMessages || this.#bytes >= maxBytes)) {
      this.#full = true
      onPressure('full')
    }
  }

  /** Drops what waits; the handler that runs is left to end. */
  close(): void {
    this.#closed = true
    this.#waiting.length = 0
    this.#bytes = 0
  }

  async #run(): Promise<void> {
    this.#busy = true
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      this.#bytes -= next.data.length
      try {
        const handled = this.#options.handle(next)
        if (handled !== undefined) await handled
      } catch (error) {
        this.#options.onError(error)
      }
      this.#relieve()
    }
    this.#busy = false
  }

  #relieve(): void {
    const { maxMessages, maxBytes, onPressure } = this.#options
    if (!this.#full || this.#closed) return
    if (this.#waiting.length > maxMessages / 2 || this.#bytes > maxBytes / 2) return
    this.#full = false
    onPressure('ready')
  }
}
