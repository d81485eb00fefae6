import { serverSchemas } from '@gw/protocol/schemas'
import { z } from 'zod'
import {
  type AnswerStore,
  type AnswerStoreTimes,
  type BeginResult,
  keyOf,
  type KeptAnswer,
  type KeptRequest,
} from './answer-store.ts'

/** What is used of an ioredis client. It stays the caller's to close. */
export interface AnswerRedis {
  set(key: string, value: string, px: 'PX', ms: number, nx: 'NX', get: 'GET'): Promise<string | null>
  eval(script: string, keyCount: number, ...args: string[]): Promise<unknown>
}

export interface RedisAnswerStoreOptions extends AnswerStoreTimes {
  readonly redis: AnswerRedis
  /** Begins every key. */
  readonly prefix: string
}

const entry = z.object({
  what: z.string(),
  lease: z.string().optional(),
  answer: z
    .union([serverSchemas.Ack, serverSchemas.ActionResult, serverSchemas.ChatError, serverSchemas.Error])
    .nullish(),
})

/** Deletes KEYS[1] when it still holds ARGV[1]: another attempt's lease stays. */
const deleteIfSame = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`

/** Lets KEYS[1] live ARGV[2] ms longer when it still holds ARGV[1]. */
const renewIfSame = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0`

/** Sets KEYS[1] to ARGV[1] for ARGV[2] ms, unless an answer is there: then that one is returned. */
const keepFirst = `
local found = redis.call('GET', KEYS[1])
if found and cjson.decode(found).answer ~= nil then return found end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false`

/** Shared by all instances: one key `<prefix>:{user}:id` a request, with a TTL. Needs Redis 7 (`SET` with `NX` and `GET`). */
export class RedisAnswerStore implements AnswerStore {
  readonly #options: RedisAnswerStoreOptions

  constructor(options: RedisAnswerStoreOptions) {
    this.#options = options
  }

  async begin(request: KeptRequest): Promise<BeginResult> {
    const { redis, leaseMs } = this.#options
    const lease = crypto.randomUUID()
    const value = leaseOf(request, lease)
    const found = await redis.set(this.#key(request), value, 'PX', leaseMs, 'NX', 'GET')
    // A write that was lost and sent again finds itself.
    if (found === null || found === value) return { type: 'begun', lease }
    const { what, answer } = entry.parse(JSON.parse(found))
    if (what !== request.what) return { type: 'conflict' }
    return answer === undefined ? { type: 'running' } : { type: 'answered', answer }
  }

  async renew(request: KeptRequest, lease: string): Promise<void> {
    const { redis, leaseMs } = this.#options
    await redis.eval(renewIfSame, 1, this.#key(request), leaseOf(request, lease), String(leaseMs))
  }

  async finish(request: KeptRequest, answer: KeptAnswer): Promise<KeptAnswer> {
    const { redis, keepMs } = this.#options
    const value = JSON.stringify({ what: request.what, answer })
    const found = await redis.eval(keepFirst, 1, this.#key(request), value, String(keepMs))
    return typeof found === 'string' ? (entry.parse(JSON.parse(found)).answer ?? null) : answer
  }

  async giveUp(request: KeptRequest, lease: string): Promise<void> {
    await this.#options.redis.eval(deleteIfSame, 1, this.#key(request), leaseOf(request, lease))
  }

  #key(request: KeptRequest): string {
    return `${this.#options.prefix}:${keyOf(request)}`
  }
}

function leaseOf({ what }: KeptRequest, lease: string): string {
  return JSON.stringify({ what, lease })
}
