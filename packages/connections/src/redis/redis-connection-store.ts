import { checkNumbers, maxTimerMs } from '../check-numbers.ts'
import type {
  ConnectionStore,
  ConnectionStoreListener,
  LocatedConnection,
  StoredConnection,
} from '../connection-store.ts'
import { ConnectionsError } from '../connections-error.ts'
import { OwnConnections } from '../own-connections.ts'
import { type Change, ConnectionWriter, saved } from './connection-writer.ts'
import { checkInstanceId, directoryOf, indexPrefix, instanceOf, keysOf } from './instance-keys.ts'
import { Reaper } from './reaper.ts'
import { presenceTtlMs } from './redis-presence-store.ts'
import { type ConnectionsRedis, ScriptRunner } from './redis-script.ts'
import { announceScript, findScript, forgetScript } from './store-scripts.ts'
import { parseAllStored } from './stored-json.ts'

/** What the app may log or count. A failure says so once, and once when it is over. */
export type RedisConnectionStoreEvent =
  | { readonly type: 'unavailable'; readonly error: unknown }
  | { readonly type: 'available' }
  | { readonly type: 'rebuilt'; readonly connections: number }
  | { readonly type: 'reaped'; readonly instanceId: string; readonly connections: number }
  | { readonly type: 'error'; readonly stage: 'listener' | 'close'; readonly error: unknown }

export interface RedisConnectionStoreOptions {
  /** Stays open: who opened it closes it. */
  readonly redis: ConnectionsRedis
  /** Unique among the instances that live at the same time. */
  readonly instanceId: string
  /** Default `gw:conn`. */
  readonly prefix?: string
  /** An instance that dies is cleaned up behind within this, in ms, while Redis answers. Default 10 000, at least 500. */
  readonly leaseMs?: number
  /** Deadline of each command, in ms. Default 1000. */
  readonly timeoutMs?: number
  /** Commands without an answer; more are refused as `unavailable`. Default 1000. */
  readonly maxPending?: number
  readonly onEvent?: (event: RedisConnectionStoreEvent) => void
}

/**
 * Connections of all instances on one Redis, a Sentinel or a Redis Cluster. An instance's data lie together under its
 * lease and are written by it alone: nothing is refreshed per connection, and no former owner can erase another's entry.
 *
 *   lease 10 s:  beat every 2 s (renew + announce) ── dead: lease gone after 6 s ── next beat of another reaps
 *   Redis away:  nobody can beat ── back: nobody reaps for 6 s, in which the living beat again; the same after a start
 */
export class RedisConnectionStore implements ConnectionStore {
  readonly instanceId: string
  readonly #prefix: string
  readonly #own = new OwnConnections()
  readonly #runner: ScriptRunner
  readonly #writer: ConnectionWriter
  readonly #reaper: Reaper
  readonly #listeners = new Set<ConnectionStoreListener>()
  readonly #leaseTtlMs: number
  readonly #dataTtlMs: number
  readonly #onEvent: (event: RedisConnectionStoreEvent) => void
  readonly #timer: NodeJS.Timeout
  #beating: Promise<void> | undefined
  #reaping: Promise<void> | undefined
  #isAvailable = true
  #beatAtMs = -Infinity
  #mayReapAtMs = 0
  #instanceCount = 1
  #closing: Promise<void> | undefined

  constructor(options: RedisConnectionStoreOptions) {
    const { redis, instanceId, prefix = 'gw:conn', leaseMs = 10_000 } = options
    const { timeoutMs = 1000, maxPending = 1000 } = options
    checkInstanceId(instanceId)
    checkNumbers({ leaseMs }, { least: 500, most: maxTimerMs, isWhole: true })
    this.instanceId = instanceId
    this.#prefix = prefix
    this.#leaseTtlMs = Math.ceil(leaseMs * 0.6)
    this.#dataTtlMs = presenceTtlMs + leaseMs * 10
    this.#onEvent = options.onEvent ?? (() => {})
    this.#runner = new ScriptRunner({ redis, timeoutMs, maxPending })
    this.#writer = new ConnectionWriter({
      instanceId,
      prefix,
      runner: this.#runner,
      own: this.#own,
      leaseTtlMs: this.#leaseTtlMs,
      dataTtlMs: this.#dataTtlMs,
      announce: async (life) => this.#lives(life),
      onRebuilt: () => this.#rebuilt(),
    })
    this.#reaper = new Reaper({
      prefix,
      runner: this.#runner,
      claimMs: leaseMs,
      dataTtlMs: this.#dataTtlMs,
      onPortion: async (connections, deadInstance) => this.#reaped(connections, deadInstance),
      onError: (error) => this.#onEvent({ type: 'error', stage: 'listener', error }),
    })
    this.#timer = setInterval(() => void this.#beat(), leaseMs / 5).unref()
    void this.#beat()
  }

  get instanceCount(): number {
    return this.#instanceCount
  }

  async save(connection: StoredConnection): Promise<void> {
    this.#check()
    const replaced = this.#own.save(connection)
    const changes: Change[] = []
    if (replaced !== undefined && replaced.connection.userId !== connection.userId)
      changes.push(['U', indexPrefix(replaced.connection.userId) + connection.connectionId, ''])
    await this.#writer.write([...changes, ...saved(connection, this.instanceId)])
  }

  async delete(connectionId: string): Promise<boolean> {
    this.#check()
    const deleted = this.#own.delete(connectionId)
    if (deleted === undefined) return false
    const changes: Change[] = [
      ['d', connectionId, ''],
      ['U', indexPrefix(deleted.connection.userId) + connectionId, ''],
    ]
    for (const channel of deleted.channels) changes.push(['C', indexPrefix(channel) + connectionId, ''])
    await this.#writer.write(changes)
    return true
  }

  async addChannel(connectionId: string, channel: string): Promise<boolean> {
    this.#check()
    if (!this.#own.addChannel(connectionId, channel)) return false
    await this.#writer.write([['c', indexPrefix(channel) + connectionId, '']])
    return true
  }

  async removeChannel(connectionId: string, channel: string): Promise<boolean> {
    this.#check()
    if (!this.#own.removeChannel(connectionId, channel)) return false
    await this.#writer.write([['C', indexPrefix(channel) + connectionId, '']])
    return true
  }

  async get(connectionId: string): Promise<LocatedConnection | undefined> {
    const [found] = await this.#find('id', connectionId)
    return found
  }

  getMany(connectionIds: readonly string[]): Promise<readonly LocatedConnection[]> {
    return this.#find('id', ...connectionIds)
  }

  getByUser(userId: string): Promise<readonly LocatedConnection[]> {
    return this.#find('user', indexPrefix(userId))
  }

  getByChannel(channel: string): Promise<readonly LocatedConnection[]> {
    return this.#find('channel', indexPrefix(channel))
  }

  async liveInstances(): Promise<readonly string[]> {
    this.#check()
    const lives = await this.#lives('')
    return this.#alive(lives)
  }

  listen(listener: ConnectionStoreListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  close(): Promise<void> {
    this.#closing ??= this.#leave()
    return this.#closing
  }

  async #leave(): Promise<void> {
    clearInterval(this.#timer)
    await this.#beating
    await this.#reaping
    try {
      await this.#writer.close()
      const [keys, args] = [[directoryOf(this.#prefix)], [this.#writer.life]]
      await this.#runner.run({ script: forgetScript, keys, args })
    } catch (error) {
      this.#onEvent({ type: 'error', stage: 'close', error })
    }
    this.#own.clear()
    this.#listeners.clear()
  }

  #check(): void {
    if (this.#closing !== undefined) throw new ConnectionsError('closed', 'The connection store is closed')
  }

  /** One after another, also when Redis is slower than the beat. */
  #beat(): Promise<void> {
    this.#beating ??= this.#beatOnce().finally(() => {
      this.#beating = undefined
    })
    return this.#beating
  }

  async #beatOnce(): Promise<void> {
    try {
      const lives = await this.#lives(this.#writer.life)
      await this.#writer.renew()
      this.#instanceCount = Math.max(1, this.#alive(lives).length)
      this.#hasBeaten()
      if (performance.now() < this.#mayReapAtMs) return
      // Beside the beat: listeners take their time, and the lease must be kept meanwhile.
      this.#reaping ??= this.#reapAll(lives.filter(({ ageMs }) => ageMs > this.#leaseTtlMs)).finally(() => {
        this.#reaping = undefined
      })
    } catch (error) {
      this.#failed(error)
    }
  }

  #hasBeaten(): void {
    const nowMs = performance.now()
    // What kept us from beating may have kept all others from it: they get a lease's time before they count as dead.
    if (!this.#isAvailable || nowMs - this.#beatAtMs > (this.#leaseTtlMs * 2) / 3)
      this.#mayReapAtMs = nowMs + this.#leaseTtlMs
    this.#beatAtMs = nowMs
    if (!this.#isAvailable) this.#onEvent({ type: 'available' })
    this.#isAvailable = true
  }

  async #reapAll(dead: readonly { life: string }[]): Promise<void> {
    try {
      for (const { life } of dead)
        if (life !== this.#writer.life && this.#closing === undefined)
          await this.#reaper.reap(life, this.#writer.life)
    } catch (error) {
      this.#failed(error)
    }
  }

  #failed(error: unknown): void {
    if (this.#isAvailable) this.#onEvent({ type: 'unavailable', error })
    this.#isAvailable = false
  }

  /** With a life: announces it. */
  async #lives(life: string): Promise<{ life: string; ageMs: number }[]> {
    const reply = await this.#runner.run({
      script: announceScript,
      keys: [directoryOf(this.#prefix)],
      args: [life, this.#dataTtlMs],
    })
    const lives: { life: string; ageMs: number }[] = []
    for (let at = 0; at + 1 < reply.length; at += 2)
      lives.push({ life: String(reply[at]), ageMs: Number(reply[at + 1]) })
    return lives
  }

  #alive(lives: readonly { life: string; ageMs: number }[]): string[] {
    const alive = lives.filter(({ ageMs }) => ageMs <= this.#leaseTtlMs)
    return [...new Set([this.instanceId, ...alive.map(({ life }) => instanceOf(life))])]
  }

  async #find(by: 'id' | 'user' | 'channel', ...subjects: readonly string[]): Promise<LocatedConnection[]> {
    this.#check()
    const lives = await this.#lives('')
    const found = await Promise.all(
      lives.map(async ({ life }) =>
        this.#runner.run({ script: findScript, keys: keysOf(this.#prefix, life), args: [by, ...subjects] }),
      ),
    )
    return parseAllStored(found.flat())
  }

  #rebuilt(): void {
    this.#onEvent({ type: 'rebuilt', connections: this.#own.size })
    for (const listener of this.#listeners)
      try {
        listener.onRebuilt?.()
      } catch (error) {
        this.#onEvent({ type: 'error', stage: 'listener', error })
      }
  }

  async #reaped(connections: readonly LocatedConnection[], instanceId: string): Promise<void> {
    // It is being closed: another instance gets them.
    this.#check()
    for (const listener of this.#listeners) await listener.onReaped?.({ instanceId, connections })
    this.#onEvent({ type: 'reaped', instanceId, connections: connections.length })
  }
}
