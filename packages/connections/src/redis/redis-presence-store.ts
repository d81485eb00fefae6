import { checkNumbers, maxTimerMs } from '../check-numbers.ts'
import { ConnectionsError } from '../connections-error.ts'
import type {
  PresenceResult,
  PresenceStatus,
  PresenceStore,
  PresenceStoreOptions,
  PresenceUpdate,
} from '../presence-store.ts'
import { dueScript, notDueScript, settleScript, statusScript, updateScript } from './presence-scripts.ts'
import { type ConnectionsRedis, ScriptRunner } from './redis-script.ts'

export interface RedisPresenceStoreOptions extends PresenceStoreOptions {
  /** Stays open: who opened it closes it. */
  readonly redis: ConnectionsRedis
  /** Default `gw:presence`. */
  readonly prefix?: string
  /**
   * How long a user is remembered without an update, in ms: more than the sessions' `refreshMs`. Default 3 600 000. With more,
   * users whose instances all died stay online if none comes back within an hour: the connection store has forgotten them.
   */
  readonly ttlMs?: number
  /** Deadline of each command, in ms. Default 1000. */
  readonly timeoutMs?: number
  /** Commands without an answer; more are refused as `unavailable`. Default 1000. */
  readonly maxPending?: number
}

/** Default of `ttlMs`. The connection store keeps what an instance left longer than this: else nobody ends its users. */
export const presenceTtlMs = 3_600_000

const letters = { online: 'o', away: 'a', offline: '' } as const

/** Presence of all instances on one Redis, a Sentinel or a Redis Cluster: one key for each user who is not offline. */
export class RedisPresenceStore implements PresenceStore {
  readonly #prefix: string
  readonly #runner: ScriptRunner
  readonly #graceMs: number
  readonly #ttlMs: number

  constructor(options: RedisPresenceStoreOptions) {
    const { redis, prefix = 'gw:presence', graceMs = 10_000, ttlMs = presenceTtlMs } = options
    const { timeoutMs = 1000, maxPending = 1000 } = options
    checkNumbers({ graceMs }, { least: 0, most: maxTimerMs - 1 })
    checkNumbers({ ttlMs }, { isWhole: true })
    if (ttlMs <= graceMs) throw new ConnectionsError('invalid', 'ttlMs must be more than graceMs')
    this.#prefix = prefix
    this.#graceMs = graceMs
    this.#ttlMs = ttlMs
    this.#runner = new ScriptRunner({ redis, timeoutMs, maxPending })
  }

  async update(update: PresenceUpdate): Promise<PresenceResult> {
    const { userId, connectionId, status, known = 'offline', id = '' } = update
    const args = [connectionId, letters[status], known, this.#graceMs, this.#ttlMs, id]
    const reply = await this.#runner.run({ script: updateScript, keys: [this.#keyOf(userId)], args })
    const result = parseResult(userId, reply)
    if (result.settleAfterMs !== undefined) await this.#due([this.#ttlMs, userId, result.settleAfterMs])
    return result
  }

  async settle(userId: string, isOverdue = false): Promise<PresenceResult> {
    const [keys, args] = [[this.#keyOf(userId)], [isOverdue ? 1 : 0]]
    const result = parseResult(userId, await this.#runner.run({ script: settleScript, keys, args }))
    if (result.settleAfterMs === undefined)
      await this.#runner.run({ script: notDueScript, keys: [this.#dueKey], args: [userId] })
    return result
  }

  async overdue(): Promise<readonly string[]> {
    return (await this.#due([''])).map(String)
  }

  async getStatus(userIds: readonly string[]): Promise<ReadonlyMap<string, PresenceStatus>> {
    const statuses = await Promise.all(
      userIds.map(async (userId): Promise<[string, PresenceStatus]> => {
        const keys = [this.#keyOf(userId)]
        const [status] = await this.#runner.run({ script: statusScript, keys, args: [] })
        return [userId, parseStatus(status)]
      }),
    )
    return new Map(statuses)
  }

  get #dueKey(): string {
    return `${this.#prefix}:{due}`
  }

  #keyOf(userId: string): string {
    return `${this.#prefix}:user:${userId}`
  }

  #due(args: readonly (string | number)[]): Promise<readonly unknown[]> {
    return this.#runner.run({ script: dueScript, keys: [this.#dueKey], args })
  }
}

function parseResult(userId: string, reply: readonly unknown[]): PresenceResult {
  const [status, waitMs, changed, previous, atMs] = reply
  return {
    status: parseStatus(status),
    ...(Number(waitMs) >= 0 && { settleAfterMs: Number(waitMs) }),
    ...(changed === 1 && {
      change: {
        userId,
        status: parseStatus(status),
        previous: parseStatus(previous),
        atMs: Number(atMs),
      },
    }),
  }
}

function parseStatus(value: unknown): PresenceStatus {
  return value === 'online' || value === 'away' ? value : 'offline'
}
