import type { BrokerEvent } from '../broker.ts'
import { withDeadline } from '../deadline.ts'
import { PubSubError } from '../errors.ts'
import type { RedisSubscriber } from './redis-client.ts'

export interface RedisLinkOptions {
  /** Opens a connection; called again when one has to be replaced. */
  readonly connect: () => RedisSubscriber
  /** SSUBSCRIBE instead of SUBSCRIBE. */
  readonly sharded: boolean
  readonly timeoutMs: number
  readonly onMessage: (name: string, data: Buffer) => void
  /** Subscribed again after a silence: what was published meanwhile did not arrive. */
  readonly onResumed: (name: string) => void
  readonly onEvent: (event: BrokerEvent) => void
}

interface Entry {
  readonly name: string
  /** It was confirmed before, so a confirmation now ends a silence. */
  known: boolean
  waiting: Set<() => void> | undefined
}

const batchSize = 200
const retryMs = 250

/**
 * One connection in subscriber mode and the list of what it must be subscribed to. The list is ours: after a lost link
 * we subscribe again in batches and say for each channel when its silence is over, which the client library cannot.
 */
export class RedisLink {
  readonly #options: RedisLinkOptions
  readonly #entries = new Map<string, Entry>()
  /** Beside them, or each of ten thousand subscriptions would look through all that were made before. */
  readonly #unconfirmed = new Set<Entry>()
  #connection: RedisSubscriber
  /** Grows with every connection that is lost or replaced: answers to an older one mean nothing. */
  #generation = 0
  #subscribing = false
  #retry: NodeJS.Timeout | undefined
  #closed = false

  constructor(options: RedisLinkOptions) {
    this.#options = options
    this.#connection = this.#open()
  }

  get size(): number {
    return this.#entries.size
  }

  get ready(): boolean {
    return this.#connection.status === 'ready'
  }

  /** Resolves when the server has confirmed; `unavailable` after the deadline, and it goes on trying until `unsubscribe`. */
  async subscribe(name: string): Promise<void> {
    if (this.#closed) throw new PubSubError('closed', 'The broker is closed')
    const entry = this.#entries.get(name) ?? this.#enter(name)
    if (!this.#unconfirmed.has(entry)) return
    let wake = (): void => {}
    const confirmed = new Promise<void>((resolve) => {
      wake = resolve
    })
    entry.waiting ??= new Set()
    entry.waiting.add(wake)
    try {
      // In a microtask: what is asked for in one turn goes out in one command.
      queueMicrotask(() => void this.#subscribeAll())
      await withDeadline(confirmed, this.#options.timeoutMs, 'Redis subscribe')
    } finally {
      entry.waiting.delete(wake)
      if (entry.waiting.size === 0) entry.waiting = undefined
    }
  }

  /** As `subscribe`, for a channel that was subscribed elsewhere: says `onResumed` when confirmed. */
  resubscribe(name: string): void {
    const entry = this.#entries.get(name) ?? this.#enter(name)
    entry.known = true
    queueMicrotask(() => void this.#subscribeAll())
  }

  /** Asks the server to confirm a subscription once more; replaces the connection when it does not answer. */
  async verify(name: string): Promise<void> {
    const generation = this.#generation
    const entry = this.#entries.get(name)
    if (entry === undefined || this.#unconfirmed.has(entry) || !this.ready) return
    try {
      await withDeadline(this.#connection.subscribe(name), this.#options.timeoutMs, 'Redis subscribe')
    } catch (error) {
      if (generation !== this.#generation) return
      this.#fail(error)
      this.rebuild()
    }
  }

  unsubscribe(name: string): void {
    const entry = this.#entries.get(name)
    if (entry === undefined) return
    this.#entries.delete(name)
    this.#unconfirmed.delete(entry)
    if (!this.ready) return
    const { sharded } = this.#options
    const connection = this.#connection
    const done = sharded ? connection.sunsubscribe(name) : connection.unsubscribe(name)
    done.catch((error: unknown) => this.#fail(error))
  }

  /** Replaces a connection that seems alive and brings nothing. */
  rebuild(): void {
    // A new one would wait no less for a server that is away.
    if (this.#closed || this.#connection.status === 'reconnecting') return
    try {
      const old = this.#connection
      this.#connection = this.#open()
      this.#lost()
      old.disconnect()
      this.#options.onEvent({ type: 'link', status: 'rebuilt' })
    } catch (error) {
      // A cluster of which no node is known now.
      this.#fail(error)
      this.#later(() => this.rebuild())
    }
  }

  close(): void {
    this.#closed = true
    this.#generation++
    clearTimeout(this.#retry)
    this.#entries.clear()
    this.#unconfirmed.clear()
    this.#connection.disconnect()
  }

  #open(): RedisSubscriber {
    const { connect, sharded, onMessage, onEvent } = this.#options
    const connection = connect()
    const current = (): boolean => !this.#closed && this.#connection === connection
    connection.on(sharded ? 'smessageBuffer' : 'messageBuffer', (name, data) => {
      if (current()) onMessage(name.toString(), data)
    })
    connection.on('error', (error) => {
      if (current()) onEvent({ type: 'error', stage: 'link', error })
    })
    connection.on('ready', () => {
      if (!current()) return
      onEvent({ type: 'link', status: 'up' })
      void this.#subscribeAll()
    })
    connection.on('close', () => {
      if (!current()) return
      onEvent({ type: 'link', status: 'down' })
      this.#lost()
    })
    // The client gave up reconnecting; we don't.
    connection.on('end', () => {
      if (current()) this.#later(() => this.rebuild())
    })
    return connection
  }

  #lost(): void {
    this.#generation++
    this.#subscribing = false
    for (const entry of this.#entries.values()) this.#unconfirmed.add(entry)
  }

  #later(action: () => void): void {
    clearTimeout(this.#retry)
    this.#retry = setTimeout(action, retryMs * (0.5 + Math.random()))
    this.#retry.unref()
  }

  #fail(error: unknown): void {
    if (!this.#closed) this.#options.onEvent({ type: 'error', stage: 'link', error })
  }

  async #subscribeAll(): Promise<void> {
    if (this.#subscribing || this.#closed || !this.ready) return
    this.#subscribing = true
    const generation = this.#generation
    const startMs = performance.now()
    let resumed = 0
    try {
      for (let batch = this.#nextBatch(); batch.length > 0; batch = this.#nextBatch()) {
        const sent = withDeadline(this.#send(batch), this.#options.timeoutMs, 'Redis subscribe')
        const { done, error } = await sent
        if (generation !== this.#generation) return
        resumed += this.#confirm(done)
        if (done.length < batch.length) throw error
      }
      this.#subscribing = false
    } catch (error) {
      if (generation !== this.#generation) return
      this.#subscribing = false
      this.#fail(error)
      this.#later(() => void this.#subscribeAll())
    }
    const durationMs = performance.now() - startMs
    if (resumed > 0) this.#options.onEvent({ type: 'resubscribed', channels: resumed, durationMs })
  }

  #enter(name: string): Entry {
    const entry: Entry = { name, known: false, waiting: undefined }
    this.#entries.set(name, entry)
    this.#unconfirmed.add(entry)
    return entry
  }

  #nextBatch(): readonly Entry[] {
    const batch: Entry[] = []
    for (const entry of this.#unconfirmed) {
      batch.push(entry)
      if (batch.length === batchSize) break
    }
    return batch
  }

  async #send(batch: readonly Entry[]): Promise<{ done: readonly Entry[]; error?: unknown }> {
    const connection = this.#connection
    if (!this.#options.sharded) {
      await connection.subscribe(...batch.map(({ name }) => name))
      return { done: batch }
    }
    // On a cluster one command holds channels of one slot only; some slots may have moved, the others go on.
    const outcomes = await Promise.allSettled(batch.map(async ({ name }) => connection.ssubscribe(name)))
    const failed = outcomes.find((outcome) => outcome.status === 'rejected')
    const done = batch.filter((_, at) => outcomes[at]?.status === 'fulfilled')
    return { done, error: failed?.reason }
  }

  /** Only what is still wanted: an entry that was left and joined again asks for itself. */
  #confirm(batch: readonly Entry[]): number {
    let resumed = 0
    for (const entry of batch) {
      if (this.#entries.get(entry.name) !== entry) continue
      this.#unconfirmed.delete(entry)
      if (entry.known) {
        resumed++
        this.#options.onResumed(entry.name)
      }
      entry.known = true
      for (const wake of entry.waiting ?? []) wake()
    }
    return resumed
  }
}
