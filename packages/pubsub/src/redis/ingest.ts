import { createHash } from 'node:crypto'
import type { BrokerEvent } from '../broker.ts'
import { PubSubError } from '../errors.ts'
import { connectionSettings } from './connection-settings.ts'
import { OccurrenceCounter } from './occurrence-counter.ts'
import type { RedisBroker } from './redis-broker.ts'
import type { RedisClient } from './redis-client.ts'
import { RedisLink } from './redis-link.ts'
import { occurrenceSlackMs } from './redis-log.ts'

/** Where a foreign message belongs. */
export interface IngestMessage {
  readonly channel: string
  readonly data: Buffer | string
  /** Names the message for ever. Without it the message is known by its content and by how often it was heard. */
  readonly idempotencyKey?: string
  /** W3C `traceparent` of who sent it, handed to subscribers. */
  readonly traceparent?: string
  /** Names the request that it was sent for; handed to subscribers. */
  readonly requestId?: string
}

export interface IngestOptions {
  /** The subscription gets a connection of its own, made from it. */
  readonly client: RedisClient
  readonly broker: RedisBroker
  /** The pub/sub channel to listen to, as it is named in Redis. */
  readonly channel: string
  /** Undefined, or a throw (which is reported): the message is passed over. */
  readonly parse: (raw: Buffer) => IngestMessage | undefined
  /** Messages heard and not yet in the log; more are dropped, each with an event. Default 10 000. */
  readonly maxPending?: number
  /** Deadline of a subscribe, in ms. Default 1000. */
  readonly timeoutMs?: number
  /** How often the subscription is confirmed anew, in ms; an answer that does not come replaces the link. Default 1000. */
  readonly verifyIntervalMs?: number
  readonly onEvent?: (event: BrokerEvent) => void
}

export interface Ingest {
  /** Heard and not yet in the log. */
  readonly pending: number
  /** Ends listening; what was heard and not taken is dropped. Idempotent. */
  close(): void
}

interface Heard {
  readonly data: Buffer
  readonly idempotencyKey: string | undefined
  readonly origin: Pick<IngestMessage, 'traceparent' | 'requestId'>
  readonly key: string
  readonly count: number
  readonly heardAtMs: number
}

const maxBatch = 64
const retryMs = 100
const maxRetryMs = 2000

/**
 * Takes messages of plain Redis pub/sub, which every instance hears, into ordered channels: each once, in the order
 * heard. What is published while no instance listens is lost, as plain pub/sub loses it.
 */
export function createIngest(options: IngestOptions): Ingest {
  return new RedisIngest(options)
}

class RedisIngest implements Ingest {
  readonly #options: IngestOptions
  readonly #onEvent: (event: BrokerEvent) => void
  readonly #counter = new OccurrenceCounter()
  readonly #queues = new Map<string, Heard[]>()
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #verify: NodeJS.Timeout
  #link: RedisLink | undefined
  /**
   * Who has just begun to listen does not know how often a content was taken before. It waits until that is so long ago
   * that it cannot be what it hears; meanwhile those who know are ahead of it.
   */
  #heldUntilMs = performance.now() + occurrenceSlackMs
  #pending = 0
  #closed = false

  constructor(options: IngestOptions) {
    this.#options = options
    this.#onEvent = options.onEvent ?? (() => {})
    this.#connect()
    this.#verify = setInterval(() => {
      if (this.#link === undefined) this.#connect()
      else void this.#link.verify(options.channel)
    }, options.verifyIntervalMs ?? 1000)
    this.#verify.unref()
  }

  get pending(): number {
    return this.#pending
  }

  close(): void {
    this.#closed = true
    clearInterval(this.#verify)
    for (const timer of this.#timers) clearTimeout(timer)
    this.#queues.clear()
    this.#pending = 0
    this.#link?.close()
  }

  #connect(): void {
    const { client, channel, timeoutMs = 1000 } = this.#options
    // On a Cluster any node brings every message; before the first is known there is none to ask.
    if ('nodes' in client && client.nodes('all').length === 0) return
    const link = new RedisLink({
      connect: () => {
        if (!('nodes' in client)) return client.duplicate(connectionSettings)
        const nodes = client.nodes('all')
        const node = nodes[Math.floor(Math.random() * nodes.length)]
        if (node === undefined) throw new PubSubError('unavailable', 'The cluster has no nodes')
        // Its end makes the link ask for another one, of another node.
        return node.duplicate({ ...connectionSettings, retryStrategy: () => null, readOnly: false })
      },
      sharded: false,
      timeoutMs,
      onMessage: (_name, raw) => this.#hear(raw),
      onResumed: () => this.#hold(),
      onEvent: this.#onEvent,
    })
    this.#link = link
    link.subscribe(channel).then(
      () => this.#hold(),
      (error: unknown) => this.#fail(error),
    )
  }

  #hold(): void {
    this.#heldUntilMs = performance.now() + occurrenceSlackMs
  }

  #hear(raw: Buffer): void {
    const { parse, maxPending = 10_000 } = this.#options
    try {
      const message = parse(raw)
      if (message === undefined) return
      if (this.#pending >= maxPending)
        throw new PubSubError('unavailable', 'Too many messages wait: one dropped')
      this.#add(message)
    } catch (error) {
      this.#fail(error)
    }
  }

  #add({ channel, data, idempotencyKey, traceparent, requestId }: IngestMessage): void {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data
    const key = createHash('sha256').update(bytes).digest('base64url')
    // Of the channel too: the same content elsewhere is another message.
    const count = idempotencyKey === undefined ? this.#counter.hear(`${channel} ${key}`) : 0
    const origin = {
      ...(traceparent !== undefined && { traceparent }),
      ...(requestId !== undefined && { requestId }),
    }
    const heard = { data: bytes, idempotencyKey, origin, key, count, heardAtMs: performance.now() }
    this.#pending++
    const queue = this.#queues.get(channel)
    if (queue !== undefined) {
      queue.push(heard)
      return
    }
    const first = [heard]
    this.#queues.set(channel, first)
    // In a microtask: what one read of the socket brought goes out together.
    queueMicrotask(() => void this.#drain(channel, first, retryMs))
  }

  /** One batch after the other, and none passes one that has to be sent again. */
  async #drain(channel: string, queue: Heard[], waitMs: number): Promise<void> {
    while (queue.length > 0 && !this.#closed) {
      const holdMs = this.#heldUntilMs - performance.now()
      if (holdMs > 0 && queue.some(({ idempotencyKey }) => idempotencyKey === undefined)) {
        this.#later(() => void this.#drain(channel, queue, waitMs), holdMs)
        return
      }
      const batch = queue.slice(0, maxBatch)
      const outcomes = await Promise.allSettled(batch.map(async (heard) => this.#take(channel, heard)))
      if (this.#closed) return
      const failed = outcomes.findIndex(
        (outcome) => outcome.status === 'rejected' && isRetryable(outcome.reason),
      )
      const done = failed === -1 ? batch.length : failed
      for (const outcome of outcomes.slice(0, done))
        if (outcome.status === 'rejected') this.#fail(outcome.reason)
      queue.splice(0, done)
      this.#pending -= done
      if (failed !== -1) {
        this.#later(
          () => void this.#drain(channel, queue, Math.min(waitMs * 2, maxRetryMs)),
          waitMs * (0.5 + Math.random()),
        )
        return
      }
    }
    this.#queues.delete(channel)
  }

  async #take(channel: string, heard: Heard): Promise<void> {
    const { broker } = this.#options
    const { data, idempotencyKey, origin, key, count, heardAtMs } = heard
    if (idempotencyKey !== undefined) await broker.publish(channel, data, { ...origin, idempotencyKey })
    else {
      const result = await broker.relay(channel, data, { ...origin, key, count, heardAtMs })
      this.#counter.learn(`${channel} ${key}`, result.count)
    }
  }

  #later(action: () => void, ms: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      action()
    }, ms)
    this.#timers.add(timer)
  }

  #fail(error: unknown): void {
    if (!this.#closed) this.#onEvent({ type: 'error', stage: 'ingest', error })
  }
}

function isRetryable(error: unknown): boolean {
  return error instanceof PubSubError && error.retryable
}
