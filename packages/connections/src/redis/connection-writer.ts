/**
 * What the store writes for its own instance: a life of it, kept in step with the memory of the process.
 *
 *   opening ──▶ in step ──change──▶ one batch at a time ──▶ in step
 *      ▲            └──lease gone, keys gone, a write unanswered──┐
 *      └──────── everything anew from memory ◀────────────────────┘
 */
import { randomUUID } from 'node:crypto'
import type { StoredConnection } from '../connection-store.ts'
import { ConnectionsError } from '../connections-error.ts'
import type { OwnConnections } from '../own-connections.ts'
import { indexPrefix, keysOf } from './instance-keys.ts'
import type { Script, ScriptRunner } from './redis-script.ts'
import { applyScript, leaveScript, openScript, renewScript } from './store-scripts.ts'
import { toJson } from './stored-json.ts'

/** One change: what kind, of what, and its value (see the apply script). */
export type Change = readonly [kind: 'p' | 'd' | 'u' | 'U' | 'c' | 'C', subject: string, value: string]

export interface ConnectionWriterOptions {
  readonly instanceId: string
  readonly prefix: string
  readonly runner: ScriptRunner
  readonly own: OwnConnections
  readonly leaseTtlMs: number
  /** How long what a dead instance left can still be found, in ms. */
  readonly dataTtlMs: number
  /** Puts a life into the directory: before it writes, or nobody would find it or clean up behind it. */
  readonly announce: (life: string) => Promise<unknown>
  readonly onRebuilt: () => void
}

interface Waiting {
  readonly changes: readonly Change[]
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

const batchSize = 300
const maxWaiting = 20_000

export class ConnectionWriter {
  readonly #options: ConnectionWriterOptions
  #life: string
  #writes = 0
  #isInStep = false
  #hasOpened = false
  #waiting: Waiting[] = []
  #pumping: Promise<void> | undefined
  #closed = false

  constructor(options: ConnectionWriterOptions) {
    this.#options = options
    this.#life = newLife(options.instanceId)
  }

  /** This life of the instance. */
  get life(): string {
    return this.#life
  }

  /** Resolves when the changes, which memory has already, are with Redis too. */
  async write(changes: readonly Change[]): Promise<void> {
    if (this.#waiting.length >= maxWaiting) {
      // Memory knows: writing everything anew is cheaper than an endless queue.
      this.#fail(new ConnectionsError('unavailable', 'Too many changes wait for Redis'))
    }
    const written = new Promise<void>((resolve, reject) => {
      this.#waiting.push({ changes, resolve, reject })
    })
    void this.pump()
    return written
  }

  /** Writes what waits. Never rejects: those who wait are told. */
  pump(): Promise<void> {
    this.#pumping ??= this.#pumpAll().finally(() => {
      this.#pumping = undefined
    })
    return this.#pumping
  }

  /** Keeps the lease. Notices when Redis has lost it, or keys of it. Rejects with `unavailable`. */
  async renew(): Promise<void> {
    const { own, leaseTtlMs, dataTtlMs } = this.#options
    if (this.#isInStep) {
      const writes = this.#writes
      const isIdle = this.#pumping === undefined
      const [alive, ...counts] = await this.#run(renewScript, [leaseTtlMs, dataTtlMs])
      const isComparable = isIdle && writes === this.#writes && this.#waiting.length === 0
      const expected = [own.size, own.size, own.places]
      if (alive !== 1 || (isComparable && expected.some((count, at) => counts[at] !== count)))
        this.#isInStep = false
    }
    if (!this.#isInStep || this.#waiting.length > 0) await this.pump()
  }

  /** Leaves nothing behind. Rejects with `unavailable`: then the lease ends by itself. */
  async close(): Promise<void> {
    this.#closed = true
    const closed = new ConnectionsError('closed', 'The connection store is closed')
    this.#fail(closed)
    await this.#pumping
    // A batch that was under way and was not taken waits again, and nobody will come for it.
    this.#fail(closed)
    await this.#run(leaveScript, [])
  }

  #fail(error: unknown): void {
    this.#isInStep = false
    const failed = this.#waiting
    this.#waiting = []
    for (const { reject } of failed) reject(error)
  }

  async #pumpAll(): Promise<void> {
    // What is saved in one turn goes in one batch.
    await Promise.resolve()
    try {
      while (!this.#closed && (!this.#isInStep || this.#waiting.length > 0))
        if (this.#isInStep) await this.#writeBatch()
        else await this.#rebuild()
    } catch (error) {
      this.#fail(error)
    }
  }

  async #writeBatch(): Promise<void> {
    const batch = this.#waiting.splice(0, batchSize)
    try {
      const isTaken = await this.#apply(batch.flatMap(({ changes }) => changes))
      if (isTaken) for (const { resolve } of batch) resolve()
      else {
        this.#isInStep = false
        this.#waiting.unshift(...batch)
      }
    } catch (error) {
      for (const { reject } of batch) reject(error)
      throw error
    }
  }

  async #rebuild(): Promise<void> {
    const { instanceId, own, onRebuilt } = this.#options
    // Memory has all that waits: the snapshot is of the same moment.
    const covered = this.#waiting
    this.#waiting = []
    try {
      const snapshot: Change[] = []
      for (const { connection, channels } of own.all()) {
        snapshot.push(...saved(connection, instanceId))
        for (const channel of channels)
          snapshot.push(['c', indexPrefix(channel) + connection.connectionId, ''])
      }
      let opened = await this.#open()
      if (opened === -1) {
        // Others took us for dead and clean up behind us: what they work on is theirs, we begin another life.
        this.#life = newLife(instanceId)
        opened = await this.#open()
      }
      for (let at = 0; opened === 1 && at < snapshot.length; at += batchSize)
        if (!(await this.#apply(snapshot.slice(at, at + batchSize)))) opened = 0
      if (opened !== 1) throw new ConnectionsError('unavailable', 'The lease was lost while it was taken')
    } catch (error) {
      for (const { reject } of covered) reject(error)
      throw error
    }
    this.#isInStep = true
    for (const { resolve } of covered) resolve()
    if (this.#hasOpened) onRebuilt()
    this.#hasOpened = true
  }

  async #open(): Promise<unknown> {
    await this.#options.announce(this.#life)
    const [opened] = await this.#run(openScript, [++this.#writes, this.#options.leaseTtlMs])
    return opened
  }

  async #apply(changes: readonly Change[]): Promise<boolean> {
    const [taken] = await this.#run(applyScript, [++this.#writes, this.#options.dataTtlMs, ...changes.flat()])
    return taken === 1
  }

  #run(script: Script, args: readonly (string | number)[]): Promise<readonly unknown[]> {
    const { runner, prefix } = this.#options
    return runner.run({ script, keys: keysOf(prefix, this.#life), args })
  }
}

/** The changes that save a connection. */
export function saved(connection: StoredConnection, instanceId: string): readonly Change[] {
  const { connectionId, userId } = connection
  return [
    ['p', connectionId, toJson(connection, instanceId)],
    ['u', indexPrefix(userId) + connectionId, ''],
  ]
}

function newLife(instanceId: string): string {
  return `${instanceId}~${randomUUID().slice(0, 8)}`
}
