/**
 *   revoke --> script: append to the log, PUBLISH id       (one round trip)
 *                                     |
 *   each instance:   wake-up (push) --+--> read the log after the last id --> list in memory --> listeners
 *                    poll, every pollMs ---^
 *
 * A message only wakes; what counts is read from the log, so a lost message costs at most one poll. When the log is
 * found behind what an instance has read (Redis was emptied, or a failover lost writes), the instance puts back what it knows.
 */
import { AuthError } from './auth-error.ts'
import { defaultRetentionMs } from './memory-revocation-store.ts'
import { appendRevocation } from './redis-revocation-script.ts'
import type { Revocable, Revocation } from './revocation.ts'
import { type LastingRevocation, RevocationList } from './revocation-list.ts'
import type { RevocationStore } from './revocation-store.ts'

/** The part of an ioredis `Redis` or `Cluster` that is used. */
export interface RevocationRedis {
  call(command: string, ...args: (string | number)[]): Promise<unknown>
  duplicate(): RevocationSubscriber
}

interface RevocationSubscriber {
  readonly status: string
  on(event: 'ready', listener: () => void): unknown
  subscribe(channel: string): Promise<unknown>
  on(event: 'message', listener: (channel: string, message: string) => void): unknown
  on(event: 'error', listener: (error: Error) => void): unknown
  disconnect(): void
}

/** `store_failed`: a read or a subscription failed; the store goes on with what it knows and tries again. */
export type RedisRevocationEvent =
  | {
      readonly type: 'store_failed'
      readonly operation: 'read' | 'subscribe' | 'restore'
      readonly error: unknown
    }
  | { readonly type: 'store_restored'; readonly revocations: number }
  | { readonly type: 'list_full' }

export interface RedisRevocationStoreOptions {
  /** Stays open: who opened it closes it. Subscribes on a `duplicate()` of its own. */
  readonly redis: RevocationRedis
  /** Default `gw:auth`. */
  readonly prefix?: string
  /** How long a revocation is kept: at least the verifier's `maxLifetimeMs` plus skew. Default 24 h and 5 min. */
  readonly retentionMs?: number
  /** Most entries in the log, and targets in memory. Default 100 000. */
  readonly capacity?: number
  /** Default 500: with a lost push, a revocation is effective within this. */
  readonly pollMs?: number
  /** Deadline of each command. Default 1 000. */
  readonly timeoutMs?: number
  readonly now?: () => number
  readonly onEvent?: (event: RedisRevocationEvent) => void
}

const pageSize = 500

/** Revocations shared by all instances on one Redis or Redis Cluster. Two kinds of keys, both with a TTL. */
export class RedisRevocationStore implements RevocationStore {
  readonly #redis: RevocationRedis
  readonly #log: string
  readonly #prefix: string
  readonly #settings: { retentionMs: number; capacity: number; pollMs: number; timeoutMs: number }
  readonly #now: () => number
  readonly #onEvent: (event: RedisRevocationEvent) => void
  readonly #list: RevocationList
  readonly #listeners = new Set<(revocation: Revocation) => void>()
  readonly #subscriber: RevocationSubscriber
  readonly #ready: Promise<void>
  #becomeReady: () => void = () => {}
  #failReady: (error: AuthError) => void = () => {}
  #timer: NodeJS.Timeout | undefined
  #reading: Promise<void> | undefined
  #readAgain = false
  #lastId = '0-0'
  #lastSyncMs = -Infinity
  #closed = false

  constructor(options: RedisRevocationStoreOptions) {
    const { retentionMs = defaultRetentionMs, capacity = 100_000, pollMs = 500, timeoutMs = 1000 } = options
    for (const [name, value] of Object.entries({ retentionMs, capacity, pollMs, timeoutMs }))
      if (!(value >= 1 && Number.isFinite(value)))
        throw new AuthError('bad_option', `${name} must be at least 1`)
    this.#redis = options.redis
    this.#settings = { retentionMs: Math.ceil(retentionMs), capacity, pollMs, timeoutMs }
    this.#prefix = `${options.prefix ?? 'gw:auth'}:{revocations}`
    this.#log = `${this.#prefix}:log`
    this.#now = options.now ?? Date.now
    this.#onEvent = options.onEvent ?? (() => {})
    this.#list = new RevocationList(capacity)
    this.#ready = new Promise((resolve, reject) => {
      this.#becomeReady = resolve
      this.#failReady = reject
    })
    // Whoever waits sees the rejection; a store that nobody waits for may be closed quietly.
    this.#ready.catch(() => {})
    this.#subscriber = this.#subscribe()
    this.#wake()
  }

  async revoke(revocation: Revocation): Promise<void> {
    if (this.#list.covers(revocation, this.#now())) return
    const lasting = { ...revocation, untilMs: this.#now() + this.#settings.retentionMs }
    const id = await this.#append(lasting)
    if (id === null) throw new AuthError('revocations_full', 'No room for another revocation')
    // Effective here without waiting for the push: the caller's next request must already be refused.
    this.#learn(lasting)
  }

  isRevoked(token: Revocable): boolean {
    return this.#list.size > 0 && this.#list.hits(token, this.#now())
  }

  onRevoked(listener: (revocation: Revocation) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  lastSyncMs(): number {
    return this.#lastSyncMs
  }

  isReady(): boolean {
    return this.#lastSyncMs !== -Infinity
  }

  whenReady(): Promise<void> {
    return this.#ready
  }

  async claimOnce(id: string, untilMs: number): Promise<boolean> {
    const ttlMs = Math.max(1, Math.ceil(untilMs - this.#now()))
    const key = `${this.#prefix}:once:${Buffer.from(id).toString('base64url')}`
    return (await this.#command('SET', key, 1, 'NX', 'PX', ttlMs)) !== null
  }

  close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#subscriber.disconnect()
    this.#listeners.clear()
    this.#failReady(new AuthError('closed', 'The revocation store was closed'))
    return Promise.resolve()
  }

  #subscribe(): RevocationSubscriber {
    const subscriber = this.#redis.duplicate()
    const failed = (error: unknown): void => {
      if (!this.#closed) this.#onEvent({ type: 'store_failed', operation: 'subscribe', error })
    }
    subscriber.on('error', failed)
    subscriber.on('message', () => this.#wake())
    const subscribe = (): void => void subscriber.subscribe(this.#log).catch(failed)
    // On every `ready`: works without an offline queue and after each reconnect; polling covers the time between.
    subscriber.on('ready', subscribe)
    if (subscriber.status === 'wait' || subscriber.status === 'ready') subscribe()
    return subscriber
  }

  /** One read at a time; a wake-up during a read causes one more, because the read may have passed the new entry by. */
  #wake(): void {
    if (this.#closed) return
    if (this.#reading !== undefined) {
      this.#readAgain = true
      return
    }
    clearTimeout(this.#timer)
    this.#reading = this.#read()
      .catch((error: unknown) => {
        if (!this.#closed) this.#onEvent({ type: 'store_failed', operation: 'read', error })
      })
      .finally(() => {
        this.#reading = undefined
        const again = this.#readAgain
        this.#readAgain = false
        if (again) this.#wake()
        else if (!this.#closed) this.#timer = setTimeout(() => this.#wake(), this.#settings.pollMs).unref()
      })
  }

  async #read(): Promise<void> {
    for (let page = pageSize; page === pageSize;) {
      const entries = parseEntries(
        await this.#command('XRANGE', this.#log, `(${this.#lastId}`, '+', 'COUNT', pageSize),
      )
      for (const { id, revocation } of entries) {
        this.#lastId = id
        if (revocation !== undefined) this.#learn(revocation)
      }
      page = entries.length
    }
    if (this.#list.size > 0) await this.#restoreIfLost()
    if (this.#closed) return
    this.#lastSyncMs = this.#now()
    this.#becomeReady()
  }

  async #restoreIfLost(): Promise<void> {
    const newest = parseEntries(await this.#command('XREVRANGE', this.#log, '+', '-', 'COUNT', 1))[0]?.id
    if (newest !== undefined && compareIds(newest, this.#lastId) >= 0) return
    const live = this.#list.live(this.#now())
    for (const revocation of live)
      if ((await this.#append(revocation)) === null) this.#onEvent({ type: 'list_full' })
    // From the start of what is there now: another instance may have put back more than this one knew.
    this.#lastId = '0-0'
    this.#readAgain = live.length > 0
    if (live.length > 0) this.#onEvent({ type: 'store_restored', revocations: live.length })
  }

  #learn(revocation: LastingRevocation): void {
    const outcome = this.#list.add(revocation, this.#now())
    if (outcome === 'full') this.#onEvent({ type: 'list_full' })
    if (outcome !== 'added') return
    const { kind, value, issuedBeforeMs } = revocation
    for (const listener of this.#listeners) listener({ kind, value, issuedBeforeMs })
  }

  #append({ kind, value, issuedBeforeMs, untilMs }: LastingRevocation): Promise<unknown> {
    const { retentionMs, capacity } = this.#settings
    const target = [kind, value, issuedBeforeMs, untilMs]
    return this.#command('EVAL', appendRevocation, 1, this.#log, this.#log, retentionMs, capacity, ...target)
  }

  async #command(name: string, ...args: (string | number)[]): Promise<unknown> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error('timeout')), this.#settings.timeoutMs)
    })
    try {
      return await Promise.race([this.#redis.call(name, ...args), late])
    } catch (cause) {
      throw new AuthError('store_unavailable', 'The revocation store cannot be reached', { cause })
    } finally {
      clearTimeout(timer)
    }
  }
}

interface LogEntry {
  readonly id: string
  /** Absent when the entry was written by a version that this one does not understand. */
  readonly revocation: LastingRevocation | undefined
}

function parseEntries(reply: unknown): LogEntry[] {
  if (!Array.isArray(reply)) return []
  return reply.flatMap((entry: unknown) => {
    if (!Array.isArray(entry) || typeof entry[0] !== 'string' || !Array.isArray(entry[1])) return []
    const fields = new Map<unknown, unknown>()
    for (let at = 0; at + 1 < entry[1].length; at += 2) fields.set(entry[1][at], entry[1][at + 1])
    return [{ id: entry[0], revocation: parseRevocationFields(fields) }]
  })
}

function parseRevocationFields(fields: ReadonlyMap<unknown, unknown>): LastingRevocation | undefined {
  const [kind, value] = [fields.get('kind'), fields.get('value')]
  const [issuedBeforeMs, untilMs] = [Number(fields.get('before')), Number(fields.get('until'))]
  if (kind !== 'subject' && kind !== 'session' && kind !== 'token') return undefined
  if (typeof value !== 'string' || !Number.isFinite(issuedBeforeMs) || !Number.isFinite(untilMs))
    return undefined
  return { kind, value, issuedBeforeMs, untilMs }
}

/** Stream ids are `ms-seq`, both of any length: compared as numbers, not as text. */
function compareIds(one: string, other: string): number {
  const [oneMs = 0, oneSeq = 0] = one.split('-').map(Number)
  const [otherMs = 0, otherSeq = 0] = other.split('-').map(Number)
  return oneMs - otherMs || oneSeq - otherSeq
}
