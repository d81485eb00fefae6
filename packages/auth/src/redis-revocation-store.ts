/**
 *   revoke --> script: append to the log, PUBLISH id       (one round trip)
 *                                     |
 *   each instance:   wake-up (push) --+--> read the log after the last id --> list in memory --> listeners
 *                    poll, every pollMs ---^
 *
 * A message only wakes; what counts is read from the log, so a lost message costs at most one poll. Each read begins with
 * the last entry known. When that is gone (Redis was emptied, a failover lost writes, or it was too old), the log is read
 * from its start, and what is in force and not in it is put back:
 *
 *   last entry gone --> read from 0-0 --> all in the log? -- yes --> done
 *                          ^                 no: append those missing, unless the log has gone on meanwhile
 *                          +-----------------+    (also after a failure, at the next poll)
 */
import { AuthError } from './auth-error.ts'
import { checkNumbers, maxTimerMs } from './check-numbers.ts'
import { checkRetention } from './memory-revocation-store.ts'
import { appendRevocations } from './redis-revocation-script.ts'
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

/**
 * `store_failed`: a read, a subscription or putting back failed; the store goes on with what it knows and tries again.
 * `store_restored`: Redis had lost this many revocations that were put back by this instance.
 */
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
/** Below every entry's. */
const noId = '0-0'
/** 31 years: what is kept since before 1970 has no entry id in Redis. */
const mostRetentionMs = 1e12

/**
 * Revocations shared by all instances on one Redis or Redis Cluster. Two kinds of keys, both with a TTL. Throws
 * `bad_option` for options that cannot work.
 */
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
  #lastId = noId
  /** The newest entry of our own. */
  #appendedId = noId
  #restoring: Restoring | undefined
  #lastSyncMs = -Infinity
  #closed = false

  constructor(options: RedisRevocationStoreOptions) {
    const { pollMs = 500, timeoutMs = 1000 } = options
    const { retentionMs, capacity } = checkRetention(options)
    checkNumbers({ retentionMs }, { least: 1, most: mostRetentionMs })
    checkNumbers({ pollMs, timeoutMs }, { least: 1, most: maxTimerMs })
    this.#redis = options.redis
    this.#settings = { retentionMs, capacity, pollMs, timeoutMs }
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
    const { count, id } = await this.#append([lasting], '')
    if (count === 0) throw new AuthError('revocations_full', 'No room for another revocation')
    if (compareIds(id, this.#appendedId) > 0) this.#appendedId = id
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
        const operation = this.#restoring === undefined ? 'read' : 'restore'
        if (!this.#closed) this.#onEvent({ type: 'store_failed', operation, error })
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
    await this.#readOn()
    await this.#restore()
    if (this.#closed) return
    this.#lastSyncMs = this.#now()
    this.#becomeReady()
  }

  async #readOn(): Promise<void> {
    for (let isMore = true; isMore;) {
      const fromId = this.#lastId
      // Only what was acknowledged before this read was sent must be seen by it.
      const appendedId = this.#appendedId
      const reply = await this.#command('XRANGE', this.#log, fromId, '+', 'COUNT', pageSize + 1)
      const entries = parseEntries(reply)
      isMore = entries.length > pageSize
      const isLost = fromId !== noId && entries.shift()?.id !== fromId
      const newestId = entries.at(-1)?.id ?? fromId
      if (isLost || (!isMore && compareIds(appendedId, newestId) > 0)) {
        this.#startOver()
        isMore = true
        continue
      }
      for (const { id, revocation } of entries) {
        this.#lastId = id
        if (revocation === undefined) continue
        this.#restoring?.held.add(revocation, this.#now())
        this.#learn(revocation)
      }
    }
  }

  #startOver(): void {
    this.#lastId = noId
    this.#appendedId = noId
    const { count = 0 } = this.#restoring ?? {}
    this.#restoring = { held: new RevocationList(this.#settings.capacity), count }
  }

  /** Over only when the log holds all that is in force: what breaks off here goes on at the next read. */
  async #restore(): Promise<void> {
    while (this.#restoring !== undefined && !this.#closed) {
      const restoring = this.#restoring
      const nowMs = this.#now()
      const missing = this.#list.live(nowMs).filter((one) => !restoring.held.covers(one, nowMs))
      if (missing.length === 0) {
        this.#restoring = undefined
        if (restoring.count > 0) this.#onEvent({ type: 'store_restored', revocations: restoring.count })
        return
      }
      const batch = missing.slice(0, pageSize)
      const { count } = await this.#append(batch, this.#lastId)
      // Somebody else has appended: their message wakes this instance, or the next poll does.
      if (count < 0) return
      restoring.count += count
      if (count < batch.length) {
        this.#onEvent({ type: 'list_full' })
        return
      }
      await this.#readOn()
    }
  }

  #learn(revocation: LastingRevocation): void {
    const outcome = this.#list.add(revocation, this.#now())
    if (outcome === 'full') this.#onEvent({ type: 'list_full' })
    if (outcome !== 'added') return
    const { kind, value, issuedBeforeMs } = revocation
    for (const listener of this.#listeners) listener({ kind, value, issuedBeforeMs })
  }

  async #append(revocations: readonly LastingRevocation[], readId: string): Promise<Appended> {
    const { retentionMs, capacity } = this.#settings
    const targets = revocations.flatMap(({ kind, value, issuedBeforeMs, untilMs }) => [
      kind,
      value,
      issuedBeforeMs,
      untilMs,
    ])
    const args = [this.#log, retentionMs, capacity, readId, ...targets]
    return parseAppended(await this.#command('EVAL', appendRevocations, 1, this.#log, ...args))
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

/** A log that was found without its last entry, until it holds all again that is in force. */
interface Restoring {
  /** What the log holds, as far as it was read. */
  readonly held: RevocationList
  /** Put back by this instance. */
  count: number
}

interface Appended {
  /** Below 0: the log has gone on, and nothing was appended. */
  readonly count: number
  readonly id: string
}

function parseAppended(reply: unknown): Appended {
  const [count, id] = Array.isArray(reply) ? reply : []
  return { count: Number(count), id: typeof id === 'string' ? id : noId }
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
