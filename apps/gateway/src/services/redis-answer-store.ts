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
  set(key: string, value: string, px: 'PX', ms: number): Promise<unknown>
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

  async finish(request: KeptRequest, answer: KeptAnswer): Promise<void> {
    const { redis, keepMs } = this.#options
    await redis.set(this.#key(request), JSON.stringify({ what: request.what, answer }), 'PX', keepMs)
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
