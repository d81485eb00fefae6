import { CircuitBreaker } from './circuit-breaker.ts'
import { steadyNow } from './memory-rate-limit-store.ts'
import { isWhole } from './policy.ts'
import { RateLimitError } from './rate-limit-error.ts'
import {
  type RateLimitStore,
  type StoreAnswer,
  storeKeyOf,
  type StoreKey,
  type StoreMode,
  type StoreRequest,
} from './rate-limit-store.ts'
import { type JudgeReply, parseJudgeReply } from './redis-reply.ts'
import { refundSource } from './refund-script.ts'
import { type Script, ScriptCache, scriptOf } from './script-cache.ts'

/** What is used of an ioredis client: a `Redis` or a `Cluster`. */
export interface RateLimitRedis {
  readonly status: string
  readonly isCluster: boolean
  evalsha(sha: string, keys: number, ...args: (string | number)[]): Promise<unknown>
  eval(script: string, keys: number, ...args: (string | number)[]): Promise<unknown>
  get(key: string): Promise<unknown>
  del(key: string): Promise<unknown>
}

export interface RedisRateLimitStoreOptions {
  /** A client of the limiter's own, made with `rateLimitRedisOptions()`. Stays the caller's to close. */
  readonly client: RateLimitRedis
  /** Put in front of every key. Default `rl:`. No braces. */
  readonly prefix?: string
  /** How long one call may take, in ms. Default 60. */
  readonly deadlineMs?: number
  /** Failures within a second after which Redis is not asked any more. Default 5. */
  readonly breakerFailures?: number
  /** How often to look whether Redis is back, in ms. Default 1000. */
  readonly probeEveryMs?: number
  /** Time in ms. Default: Redis's own clock, the only one that all instances share. */
  readonly now?: () => number
}

const refund = scriptOf(refundSource)

/** Keys that are judged in one script call. */
interface Group {
  readonly requests: StoreRequest[]
  /** Where they stand among all requests of the call. */
  readonly places: number[]
}

/**
 * Counters in Redis, judged by one script call; on a Cluster one for each hash tag at once, and what some admitted
 * while others refused is taken back: never under-counted, over-counted for one round trip at most. Every failure,
 * also an answer after the deadline, is STORE_UNAVAILABLE; after some of them Redis is left alone until it is back.
 */
export class RedisRateLimitStore implements RateLimitStore {
  readonly kind = 'redis'
  readonly #client: RateLimitRedis
  readonly #prefix: string
  readonly #deadlineMs: number
  readonly #now: () => number
  readonly #breaker: CircuitBreaker
  readonly #scripts = new ScriptCache()
  #closed = false

  constructor(options: RedisRateLimitStoreOptions) {
    const { client, prefix = 'rl:', deadlineMs = 60, breakerFailures = 5, probeEveryMs = 1000 } = options
    if (/[{}]/.test(prefix) || !isWhole(deadlineMs, 1, 60_000)) {
      throw new RateLimitError(
        'INVALID_OPTIONS',
        'prefix must have no braces, deadlineMs must be 1 to 60 000',
      )
    }
    if (!isWhole(breakerFailures, 1, 1000) || !isWhole(probeEveryMs, 1, 60_000)) {
      throw new RateLimitError(
        'INVALID_OPTIONS',
        'breakerFailures must be 1 to 1000, probeEveryMs 1 to 60 000',
      )
    }
    this.#client = client
    this.#prefix = prefix
    this.#deadlineMs = deadlineMs
    this.#now = options.now ?? (() => 0)
    this.#breaker = new CircuitBreaker({
      failures: breakerFailures,
      windowMs: 1000,
      probeEveryMs,
      probe: async () => this.#withDeadline(client.get(`${prefix}{probe}`)),
      now: steadyNow,
    })
  }

  async judge(requests: readonly StoreRequest[], mode: StoreMode): Promise<StoreAnswer> {
    if (requests.length === 1 || !this.#client.isCluster) return this.#judgeTogether(requests, mode)
    const groups = groupBySubject(requests)
    const settled = await Promise.allSettled(
      groups.map(async (group) => this.#judgeTogether(group.requests, mode)),
    )
    const replies = settled.map((result) => (result.status === 'fulfilled' ? result.value : undefined))
    const failed = settled.find((result) => result.status === 'rejected')
    const allowed = replies.every((reply) => reply?.allowed === true)
    if (!allowed && mode === 'consume') await this.#refundAll(groups, replies)
    if (failed !== undefined) throw failed.reason
    const keys: StoreKey[] = []
    for (const [at, { requests: asked, places }] of groups.entries()) {
      const reply = replies[at]
      if (reply === undefined) continue
      const undo = !allowed && mode === 'consume' && reply.allowed
      for (const [index, key] of reply.keys.entries()) {
        keys[places[index] ?? 0] = undo ? withoutHit(key, asked[index]?.cost ?? 0) : key
      }
    }
    return { allowed, keys }
  }

  async reset(requests: readonly Pick<StoreRequest, 'policy' | 'subject'>[]): Promise<void> {
    await Promise.all(
      requests.map(async (request) =>
        this.#guard(() => this.#client.del(this.#prefix + storeKeyOf(request))),
      ),
    )
  }

  /** Further calls reject with CLOSED; the client stays open. */
  close(): void {
    this.#closed = true
  }

  /** Judges keys that live in one slot. What is as usual is not sent: a short command costs both sides less. */
  async #judgeTogether(requests: readonly StoreRequest[], mode: StoreMode): Promise<JudgeReply> {
    const args: (string | number)[] = []
    const nowMs = this.#now()
    let usual = nowMs === 0
    for (const request of requests) {
      args.push(this.#prefix + storeKeyOf(request))
      if (request.cost !== request.policy.cost || request.refusals > 0) usual = false
    }
    if (!usual) {
      args.push(nowMs)
      for (const { cost, refusals } of requests) args.push(cost, refusals)
    }
    const script = this.#scripts.of(requests, mode)
    return this.#guard(async () => parseJudgeReply(await this.#run(script, requests.length, args), requests))
  }

  /** A refund that fails leaves the keys over-counted until the window has passed: the safe side. */
  async #refundAll(groups: readonly Group[], replies: readonly (JudgeReply | undefined)[]): Promise<void> {
    const refunds = groups.map(async ({ requests }, at) => {
      const reply = replies[at]
      if (reply?.allowed !== true) return
      const args: (string | number)[] = requests.map((request) => this.#prefix + storeKeyOf(request))
      for (const [index, { policy, cost }] of requests.entries()) {
        args.push(policy.buckets, cost, reply.keys[index]?.state.index ?? 0)
      }
      await this.#guard(() => this.#run(refund, requests.length, args))
    })
    await Promise.allSettled(refunds)
  }

  /** Only NOSCRIPT is tried again: after any other error the script may have run, and would count twice. */
  async #run(script: Script, keys: number, args: readonly (string | number)[]): Promise<unknown> {
    try {
      return await this.#client.evalsha(script.sha, keys, ...args)
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error
      return this.#client.eval(script.text, keys, ...args)
    }
  }

  async #guard<T>(call: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new RateLimitError('CLOSED', 'The rate limit store is closed')
    const cause = this.#client.status === 'ready' ? undefined : `the client is ${this.#client.status}`
    if (cause !== undefined || !this.#breaker.closed) throw unavailable(cause ?? 'the breaker is open')
    try {
      return await this.#withDeadline(call())
    } catch (error) {
      this.#breaker.failed()
      throw unavailable(error)
    }
  }

  async #withDeadline<T>(call: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const late = (): void => reject(new Error(`no answer within ${this.#deadlineMs} ms`))
      const timer = setTimeout(late, this.#deadlineMs)
      call.then(
        (value) => {
          clearTimeout(timer)
          resolve(value)
        },
        (error: unknown) => {
          clearTimeout(timer)
          reject(error)
        },
      )
    })
  }
}

/** On a Cluster the keys of one subject go together: its tag puts them into one slot. */
function groupBySubject(requests: readonly StoreRequest[]): readonly Group[] {
  const groups = new Map<string, Group>()
  for (const [place, request] of requests.entries()) {
    const group = groups.get(request.subject) ?? { requests: [], places: [] }
    group.requests.push(request)
    group.places.push(place)
    groups.set(request.subject, group)
  }
  return [...groups.values()]
}

function unavailable(cause: unknown): RateLimitError {
  return new RateLimitError('STORE_UNAVAILABLE', 'The rate limit store is unavailable', { cause })
}

function withoutHit(key: StoreKey, cost: number): StoreKey {
  const [current = 0, ...older] = key.state.counts
  return { ...key, state: { ...key.state, counts: [Math.max(0, current - cost), ...older] } }
}
