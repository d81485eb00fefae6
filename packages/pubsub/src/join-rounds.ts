import type { ChannelMessage, Position } from './broker.ts'
import type { ChannelLog } from './channel-log.ts'
import type { LocalSubscription, LogRange } from './local-subscription.ts'

export interface JoinRoundsOptions {
  readonly channel: string
  readonly log: ChannelLog
  /** Messages a read. */
  readonly pageSize: number
  /** The channel's current epoch: positions of others need no read. */
  readonly epoch: () => string | undefined
}

interface Join {
  readonly subscription: LocalSubscription
  readonly since: Position
  readonly done: (error?: unknown) => void
}

/**
 * Reads what subscribers missed. All who come while a read is under way share the next one: a reconnect storm costs a
 * channel a few reads, not one for each client.
 */
export class JoinRounds {
  readonly #options: JoinRoundsOptions
  #joins: Join[] = []
  #running = false

  constructor(options: JoinRoundsOptions) {
    this.#options = options
  }

  /** Resolves when the subscription knows whether it is recovered. Rejects, and closes it, when the log cannot be read. */
  async recover(subscription: LocalSubscription, since: Position): Promise<void> {
    if (since.epoch === subscription.epoch && since.seq === subscription.seq) {
      subscription.recovered = true
      return
    }
    await new Promise<void>((resolve, reject) => {
      const done = (error?: unknown): void => {
        if (error === undefined) return resolve()
        subscription.close()
        reject(error)
      }
      this.#joins.push({ subscription, since, done })
      if (!this.#running) void this.#run()
    })
  }

  async #run(): Promise<void> {
    this.#running = true
    // The reconnects of one turn of the event loop belong together.
    await Promise.resolve()
    while (this.#joins.length > 0) {
      const round = this.#joins.splice(0)
      try {
        const range = await this.#readFor(round)
        for (const { subscription, since, done } of round) {
          subscription.recover(since, range)
          done()
        }
      } catch (error) {
        for (const { done } of round) done(error)
      }
    }
    this.#running = false
  }

  async #readFor(round: readonly Join[]): Promise<LogRange | undefined> {
    const epoch = this.#options.epoch()
    let lowest: number | undefined
    for (const { since } of round)
      if (since.epoch === epoch && since.seq < (lowest ?? Infinity)) lowest = since.seq
    return epoch === undefined || lowest === undefined ? undefined : this.#read({ epoch, seq: lowest })
  }

  async #read(since: Position): Promise<LogRange> {
    const { channel, log, pageSize } = this.#options
    let messages: ChannelMessage[] = []
    let from = since
    for (;;) {
      const page = await log.read(channel, { since: from, limit: pageSize })
      // Trimmed in between, perhaps to the last one: what was read is no longer connected to what follows.
      if (page.messages[0]?.seq !== from.seq + 1) messages = []
      messages.push(...page.messages)
      const last = page.messages.at(-1)
      if (page.epoch !== since.epoch || last === undefined || last.seq >= page.seq)
        return {
          epoch: page.epoch,
          seq: last?.seq ?? page.seq,
          low: messages[0]?.seq ?? page.seq + 1,
          messages,
        }
      from = last
    }
  }
}
