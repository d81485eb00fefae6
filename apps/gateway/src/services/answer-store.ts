/** What was answered to requests with an `id`, so that a repeat gets the same answer: kept in memory here, in Redis beside. */
import type { Ack, ActionResult, ChatError, ErrorMessage } from '@gw/protocol'
import { LRUCache } from 'lru-cache'

/** An answer as it can be given again; null where the contract has none (an `Ack` for those who asked for them). */
export type KeptAnswer = Ack | ActionResult | ChatError | ErrorMessage | null

/** One request: whose, under which id, and what was asked (to tell a repeat from another request under the same id). */
export interface KeptRequest {
  readonly userId: string
  readonly id: string
  readonly what: string
}

/** `begun`: it is ours to do now, until its lease ends. `running`: another attempt is under way. */
export type BeginResult =
  | { readonly type: 'begun'; readonly lease: string }
  | { readonly type: 'running' | 'conflict' }
  | { readonly type: 'answered'; readonly answer: KeptAnswer }

/** Rejects when what it knows can't be reached. */
export interface AnswerStore {
  begin(request: KeptRequest): Promise<BeginResult>
  /** The attempt is under way: its lease begins anew, if it still has it. */
  renew(request: KeptRequest, lease: string): Promise<void>
  /**
   * Keeps the answer for `keepMs`, unless another attempt that took over had one first: resolves to the one that is kept, for
   * all attempts to give.
   */
  finish(request: KeptRequest, answer: KeptAnswer): Promise<KeptAnswer>
  /** Nothing came of it: the next attempt may begin at once. */
  giveUp(request: KeptRequest, lease: string): Promise<void>
}

export interface AnswerStoreTimes {
  /** How long an answer is remembered. */
  readonly keepMs: number
  /** After it an attempt counts as lost (its instance died) and a repeat does it anew, under the same key to the backend. */
  readonly leaseMs: number
}

interface Entry {
  readonly what: string
  readonly lease?: string
  readonly answer?: KeptAnswer
}

export interface MemoryAnswerStoreOptions extends AnswerStoreTimes {
  /** Requests; the oldest go first. Default 50 000. */
  readonly max?: number
}

/** For one instance, and for the time that Redis is away. */
export class MemoryAnswerStore implements AnswerStore {
  readonly #entries: LRUCache<string, Entry>
  readonly #times: AnswerStoreTimes

  constructor({ keepMs, leaseMs, max = 50_000 }: MemoryAnswerStoreOptions) {
    this.#times = { keepMs, leaseMs }
    this.#entries = new LRUCache({ max, ttl: keepMs })
  }

  async begin(request: KeptRequest): Promise<BeginResult> {
    const known = this.#entries.get(keyOf(request))
    if (known) {
      if (known.what !== request.what) return { type: 'conflict' }
      return known.answer === undefined ? { type: 'running' } : { type: 'answered', answer: known.answer }
    }
    const lease = crypto.randomUUID()
    this.#entries.set(keyOf(request), { what: request.what, lease }, { ttl: this.#times.leaseMs })
    return { type: 'begun', lease }
  }

  async renew(request: KeptRequest, lease: string): Promise<void> {
    const entry = this.#entries.get(keyOf(request))
    if (entry?.lease === lease) this.#entries.set(keyOf(request), entry, { ttl: this.#times.leaseMs })
  }

  async finish(request: KeptRequest, answer: KeptAnswer): Promise<KeptAnswer> {
    const kept = this.#entries.get(keyOf(request))?.answer
    if (kept !== undefined) return kept
    this.#entries.set(keyOf(request), { what: request.what, answer }, { ttl: this.#times.keepMs })
    return answer
  }

  async giveUp(request: KeptRequest, lease: string): Promise<void> {
    if (this.#entries.get(keyOf(request))?.lease === lease) this.#entries.delete(keyOf(request))
  }
}

/** One string for a user and an id, whatever characters they hold. */
export function keyOf({ userId, id }: KeptRequest): string {
  return `{${encodeURIComponent(userId)}}:${encodeURIComponent(id)}`
}
