import type {
  Broker,
  BrokerHealth,
  BrokerStats,
  ChannelMessage,
  PublishOptions,
  PublishResult,
  ReadOptions,
  ReadResult,
  Subscriber,
  SubscribeOptions,
  Subscription,
} from './broker.ts'
import { type ChannelClass, ChannelClasses } from './channel-class.ts'
import { ChannelHub, checkLocalOptions, type LocalOptions } from './channel-hub.ts'
import { checkNumbers } from './check-numbers.ts'
import { toReadResult } from './channel-log.ts'
import { PubSubError } from './errors.ts'
import { MemoryLog } from './memory-log.ts'
import { parseLimit, parsePublish, parseSince } from './call-arguments.ts'

export interface MemoryBrokerOptions extends LocalOptions {
  /** Settings by prefix of the channel's name. Default: everything is an event, the last 1000 of five minutes. */
  readonly classes?: readonly ChannelClass[]
  /** How long an idempotency key is remembered, in ms. Default 600 000. */
  readonly idempotencyTtlMs?: number
  /** How long a channel that nobody uses (publishes, reads, is subscribed) is remembered, in ms. Default 86 400 000. */
  readonly idleTtlMs?: number
  /** ms since 1970. */
  readonly now?: () => number
}

/**
 * A broker for one process: the same promise and the same code for subscribers as with Redis, nothing survives a restart.
 * Throws `invalid` for options that cannot work.
 */
export function createMemoryBroker(options: MemoryBrokerOptions = {}): Broker {
  return new MemoryBroker(options)
}

class MemoryBroker implements Broker {
  readonly #classes: ChannelClasses
  readonly #log: MemoryLog
  readonly #hub: ChannelHub
  #outbox: ChannelMessage[] = []
  #closed = false

  constructor(options: MemoryBrokerOptions) {
    const { idempotencyTtlMs = 600_000, idleTtlMs = 86_400_000, now = Date.now } = options
    checkLocalOptions(options)
    checkNumbers({ idempotencyTtlMs }, { isWhole: true })
    checkNumbers({ idleTtlMs })
    this.#classes = new ChannelClasses(options.classes)
    this.#log = new MemoryLog({ classes: this.#classes, idempotencyTtlMs, idleTtlMs, now })
    this.#hub = new ChannelHub({
      ...options,
      classes: this.#classes,
      log: this.#log,
      upstream: {
        subscribe: async (channel) => this.#log.hold(channel),
        unsubscribe: (channel) => this.#log.release(channel),
      },
    })
  }

  async publish(
    channel: string,
    data: Buffer | string,
    options: PublishOptions = {},
  ): Promise<PublishResult> {
    this.#check(channel)
    const added = this.#log.append(channel, parsePublish(data, options), options)
    if ('duplicate' in added) return added
    this.#send(added)
    return { epoch: added.epoch, seq: added.seq, duplicate: false }
  }

  async subscribe(
    channel: string,
    subscriber: Subscriber,
    options: SubscribeOptions = {},
  ): Promise<Subscription> {
    this.#check(channel)
    return this.#hub.subscribe(channel, subscriber, parseSince(options.since))
  }

  async read(channel: string, { since, limit }: ReadOptions = {}): Promise<ReadResult> {
    this.#check(channel)
    const request = { limit: parseLimit(limit), ...parseSince(since) }
    return toReadResult(await this.#log.read(channel, request), since)
  }

  health(): BrokerHealth {
    return this.#closed ? { ok: false, reason: 'closed' } : { ok: true }
  }

  stats(): BrokerStats {
    return { channels: this.#hub.channels, subscriptions: this.#hub.subscriptions }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#hub.close()
  }

  #check(channel: string): void {
    if (this.#closed) throw new PubSubError('closed', 'The broker is closed')
    this.#classes.of(channel)
  }

  /** After the publisher's turn: a subscriber that publishes must not call other subscribers from within its own call. */
  #send(message: ChannelMessage): void {
    if (this.#outbox.push(message) > 1) return
    queueMicrotask(() => {
      for (let at = 0; at < this.#outbox.length; at++) {
        const next = this.#outbox[at]
        if (next !== undefined) this.#hub.receive(next)
      }
      this.#outbox = []
    })
  }
}
