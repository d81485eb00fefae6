import { createHash } from 'node:crypto'
import { ChatError, requireCounts } from './chat-error.ts'
import { parseChatMessage } from './chat-message.ts'
import {
  type ChatRetention,
  type ChatStore,
  type DeleteResult,
  type HistoryPage,
  type ReadRequest,
  retentionDefaults,
  type SaveRequest,
  type SaveResult,
} from './chat-store.ts'
import { deleteScript, readScript, saveScript, trimScript } from './redis-scripts.ts'
import { withDeadline } from './with-deadline.ts'

/** What is used of an ioredis client (Redis or Cluster). It stays the caller's to close. */
export interface ChatRedis {
  eval(script: string, keyCount: number, ...args: string[]): Promise<unknown>
  evalsha(sha: string, keyCount: number, ...args: string[]): Promise<unknown>
}

export interface RedisChatStoreOptions extends ChatRetention {
  readonly redis: ChatRedis
  /** Begins every key; no braces. Default `gw:chat`. */
  readonly prefix?: string
  /** For one call, in ms. Default 2000. */
  readonly timeoutMs?: number
  /** Unix time in ms. Default `Date.now`. */
  readonly now?: () => number
}

interface Script {
  readonly source: string
  readonly sha: string
}

/**
 * Keeps rooms in Redis or Redis Cluster, shared by all instances: one script per call, the keys of a room in one slot, a TTL
 * on each. Keys: `<prefix>:{<room>}:ids`, `:texts`, `:sent:<key>`. Throws `store_failed` or `timeout` when Redis fails.
 */
export class RedisChatStore implements ChatStore {
  readonly #redis: ChatRedis
  readonly #prefix: string
  readonly #timeoutMs: number
  readonly #now: () => number
  readonly #retention: Required<ChatRetention>
  readonly #save = toScript(saveScript)
  readonly #read = toScript(readScript)
  readonly #delete = toScript(deleteScript)
  readonly #trim = toScript(trimScript)

  constructor(options: RedisChatStoreOptions) {
    const { redis, prefix = 'gw:chat', timeoutMs = 2000, now = Date.now, ...retention } = options
    this.#redis = redis
    this.#prefix = prefix
    this.#timeoutMs = timeoutMs
    this.#now = now
    this.#retention = { ...retentionDefaults, ...retention }
    requireCounts({ ...this.#retention, timeoutMs })
    if (/[{}]/.test(prefix)) throw new ChatError('invalid_options', 'prefix must not contain braces')
  }

  async save({ roomId, message, idempotencyKey }: SaveRequest): Promise<SaveResult> {
    const { retentionMs, maxMessages, idempotencyMs } = this.#retention
    const once = idempotencyKey === undefined ? 0 : idempotencyMs
    const keys = [...this.#roomKeys(roomId), this.#key(roomId, `sent:${idempotencyKey ?? ''}`)]
    const json = JSON.stringify(message)
    const args = [message.id, json, this.#now(), retentionMs, maxMessages, once].map(String)
    const [duplicate, kept, gone] = asArray(await this.#run(this.#save, keys, args))
    const saved = { message: parseChatMessage(asText(kept)), duplicate: duplicate === 1 }
    return gone === 1 ? { ...saved, gone: true } : saved
  }

  async read({ roomId, limit, before, after }: ReadRequest): Promise<HistoryPage> {
    const mode = before !== undefined ? 'before' : after !== undefined ? 'after' : 'newest'
    const args = [
      mode,
      before ?? after ?? '',
      String(limit),
      String(this.#now() - this.#retention.retentionMs),
    ]
    const [found, more, ...texts] = asArray(await this.#run(this.#read, this.#roomKeys(roomId), args))
    const messages = texts.map((text) => parseChatMessage(asText(text)))
    if (mode !== 'after') messages.reverse()
    return { messages, more: more === 1, cursorFound: found === 1 }
  }

  async delete(roomId: string, messageId: string): Promise<DeleteResult> {
    const reply = await this.#run(this.#delete, this.#roomKeys(roomId), [messageId])
    return reply === 1 ? 'deleted' : reply === 2 ? 'already_deleted' : 'not_found'
  }

  async trim(roomId: string): Promise<number> {
    const { retentionMs, maxMessages } = this.#retention
    const args = [String(maxMessages), String(this.#now() - retentionMs)]
    return Number(await this.#run(this.#trim, this.#roomKeys(roomId), args))
  }

  #roomKeys(roomId: string): string[] {
    return [this.#key(roomId, 'ids'), this.#key(roomId, 'texts')]
  }

  // Encoded, so that a brace in a room's id cannot end the hash tag and move one of its keys to another slot.
  #key(roomId: string, name: string): string {
    return `${this.#prefix}:{${encodeURIComponent(roomId)}}:${name}`
  }

  async #run(script: Script, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    try {
      return await withDeadline(this.#evaluate(script, keys, args), this.#timeoutMs)
    } catch (cause) {
      if (cause instanceof ChatError) throw cause
      throw new ChatError('store_failed', 'The chat store failed', { cause })
    }
  }

  async #evaluate(
    { source, sha }: Script,
    keys: readonly string[],
    args: readonly string[],
  ): Promise<unknown> {
    try {
      return await this.#redis.evalsha(sha, keys.length, ...keys, ...args)
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
      return await this.#redis.eval(source, keys.length, ...keys, ...args)
    }
  }
}

function toScript(source: string): Script {
  return { source, sha: createHash('sha1').update(source).digest('hex') }
}

function asArray(reply: unknown): unknown[] {
  if (Array.isArray(reply)) return reply
  throw new ChatError('corrupt_entry', 'The chat store gave an unknown answer')
}

function asText(reply: unknown): string {
  if (typeof reply === 'string') return reply
  throw new ChatError('corrupt_entry', 'The chat store gave an unknown answer')
}
