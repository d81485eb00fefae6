import { randomUUID } from 'node:crypto'
import type { ChannelMessage, Position, PublishOptions, PublishResult } from './broker.ts'
import type { ChannelClasses } from './channel-class.ts'
import type { ChannelLog, LogPage, LogRequest } from './channel-log.ts'

export interface MemoryLogOptions {
  readonly classes: ChannelClasses
  readonly idempotencyTtlMs: number
  /** Channels that nobody used for this long are forgotten. */
  readonly idleTtlMs: number
  readonly now: () => number
}

interface Log {
  epoch: string
  seq: number
  publishedAtMs: number
  touchedAtMs: number
  readonly messages: ChannelMessage[]
  /** By key, oldest first. */
  readonly keys: Map<string, { readonly result: PublishResult; readonly untilMs: number }>
}

// Of one channel; beyond it the oldest are forgotten before their time.
const maxKeys = 100_000

/** The log of all channels in this process: bounded by count and age as the one in Redis is. */
export class MemoryLog implements ChannelLog {
  readonly #options: MemoryLogOptions
  readonly #logs = new Map<string, Log>()
  readonly #held = new Set<string>()
  #sweptAtMs: number

  constructor(options: MemoryLogOptions) {
    this.#options = options
    this.#sweptAtMs = options.now()
  }

  /** Channels that are remembered. */
  get size(): number {
    return this.#logs.size
  }

  /** The new message, or the position of the one that had the same key. */
  append(channel: string, data: Buffer, options: PublishOptions): ChannelMessage | PublishResult {
    const { now, idempotencyTtlMs, classes } = this.#options
    const log = this.#open(channel)
    const { idempotencyKey, traceparent, requestId } = options
    const known = idempotencyKey === undefined ? undefined : log.keys.get(idempotencyKey)
    if (known !== undefined) return { ...known.result, duplicate: true }
    log.seq++
    log.publishedAtMs = Math.max(log.publishedAtMs, now())
    const { epoch, seq, publishedAtMs } = log
    const message: ChannelMessage = {
      channel,
      epoch,
      seq,
      publishedAtMs,
      data,
      ...(traceparent === undefined ? {} : { traceparent }),
      ...(requestId === undefined ? {} : { requestId }),
    }
    if (classes.of(channel).historySize > 0) log.messages.push(message)
    if (idempotencyKey !== undefined) {
      const untilMs = now() + idempotencyTtlMs
      log.keys.set(idempotencyKey, { result: { epoch, seq, duplicate: false }, untilMs })
    }
    this.#trim(channel, log)
    return message
  }

  async read(channel: string, { since, limit }: LogRequest): Promise<LogPage> {
    const { epoch, seq, publishedAtMs, messages } = this.#open(channel)
    const head = { epoch, seq, publishedAtMs }
    if (since === undefined) return { ...head, messages: limit === 0 ? [] : messages.slice(-limit) }
    if (since.epoch !== epoch || since.seq >= seq) return { ...head, messages: [] }
    const first = messages[0]?.seq ?? seq + 1
    const start = Math.max(0, since.seq + 1 - first)
    return { ...head, messages: messages.slice(start, start + limit) }
  }

  /** The channel is not forgotten until `release`, however quiet it is. */
  hold(channel: string): void {
    this.#held.add(channel)
  }

  /** Its idle time begins. */
  release(channel: string): void {
    this.#held.delete(channel)
    const log = this.#logs.get(channel)
    if (log !== undefined) log.touchedAtMs = this.#options.now()
  }

  async findMoved(heads: ReadonlyMap<string, Position>): Promise<ReadonlyMap<string, Position>> {
    const moved = new Map<string, Position>()
    for (const [channel, head] of heads) {
      const { epoch, seq } = this.#open(channel)
      if (epoch !== head.epoch || seq !== head.seq) moved.set(channel, { epoch, seq })
    }
    return moved
  }

  async rotate(channel: string, epoch: string): Promise<void> {
    if (this.#logs.get(channel)?.epoch === epoch) this.#logs.delete(channel)
  }

  #open(channel: string): Log {
    this.#sweep()
    let log = this.#logs.get(channel)
    if (log === undefined) {
      const epoch = randomUUID()
      log = { epoch, seq: 0, publishedAtMs: 0, touchedAtMs: 0, messages: [], keys: new Map() }
      this.#logs.set(channel, log)
    }
    log.touchedAtMs = this.#options.now()
    this.#trim(channel, log)
    return log
  }

  #trim(channel: string, log: Log): void {
    const now = this.#options.now()
    const { historySize, historyMaxAgeMs } = this.#options.classes.of(channel)
    const oldest = now - historyMaxAgeMs
    const fresh = log.messages.findIndex(({ publishedAtMs }) => publishedAtMs >= oldest)
    const expired = fresh === -1 ? log.messages.length : fresh
    log.messages.splice(0, Math.max(expired, log.messages.length - historySize))
    for (const [key, { untilMs }] of log.keys) {
      if (untilMs > now && log.keys.size <= maxKeys) break
      log.keys.delete(key)
    }
  }

  #sweep(): void {
    const { now, idleTtlMs } = this.#options
    const deadline = now() - idleTtlMs
    if (this.#sweptAtMs > deadline) return
    this.#sweptAtMs = now()
    for (const [channel, { touchedAtMs }] of this.#logs)
      if (touchedAtMs < deadline && !this.#held.has(channel)) this.#logs.delete(channel)
  }
}
