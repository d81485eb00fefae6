import { PubSubError } from '../errors.ts'
import type { AppendResult, LogEntry } from './redis-log.ts'

export interface OutboxOptions {
  readonly append: (channel: string, entries: readonly LogEntry[]) => Promise<readonly AppendResult[]>
  /** Messages that wait, of all channels. */
  readonly maxPending: number
}

interface Waiting {
  readonly entry: LogEntry
  readonly resolve: (result: AppendResult) => void
  readonly reject: (error: unknown) => void
}

const maxBatchMessages = 64
const maxBatchBytes = 262_144

/**
 * Keeps the order in which a channel's messages were published: one append at a time per channel, holding all that came
 * meanwhile. Two appends under way could change places when one of them has to be sent again (NOSCRIPT, a redirect).
 */
export class Outbox {
  readonly #options: OutboxOptions
  readonly #channels = new Map<string, Waiting[]>()
  #pending = 0

  constructor(options: OutboxOptions) {
    this.#options = options
  }

  async add(channel: string, entry: LogEntry): Promise<AppendResult> {
    if (this.#pending >= this.#options.maxPending)
      throw new PubSubError('unavailable', 'Too many messages wait to be published')
    this.#pending++
    return new Promise((resolve, reject) => {
      const waiting = { entry, resolve, reject }
      const queue = this.#channels.get(channel)
      if (queue !== undefined) queue.push(waiting)
      else {
        const first = [waiting]
        this.#channels.set(channel, first)
        queueMicrotask(() => void this.#run(channel, first))
      }
    })
  }

  async #run(channel: string, queue: Waiting[]): Promise<void> {
    while (queue.length > 0) {
      const batch = takeBatch(queue)
      try {
        const results = await this.#options.append(
          channel,
          batch.map(({ entry }) => entry),
        )
        for (const [at, { resolve, reject }] of batch.entries()) {
          const result = results[at]
          if (result === undefined) reject(new PubSubError('unavailable', 'Redis gave an incomplete answer'))
          else resolve(result)
        }
      } catch (error) {
        // Those behind it fail too: a message must not pass one that its publisher will send again.
        batch.push(...queue.splice(0))
        for (const { reject } of batch) reject(error)
      }
      this.#pending -= batch.length
    }
    this.#channels.delete(channel)
  }
}

function takeBatch(queue: Waiting[]): Waiting[] {
  let bytes = 0
  let count = 0
  for (const { entry } of queue) {
    bytes += entry.data.length
    if (count > 0 && (count === maxBatchMessages || bytes > maxBatchBytes)) break
    count++
  }
  return queue.splice(0, count)
}
