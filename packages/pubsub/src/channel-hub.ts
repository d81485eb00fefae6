import type {
  BrokerEvent,
  ChannelMessage,
  Position,
  Subscriber,
  SubscribeOptions,
  Subscription,
} from './broker.ts'
import type { ChannelClasses } from './channel-class.ts'
import { checkNumbers, maxTimerMs } from './check-numbers.ts'
import { ChannelFeed, type FeedContext } from './channel-feed.ts'
import type { ChannelLog, Upstream } from './channel-log.ts'
import { PubSubError } from './errors.ts'

/** What brokers have in common. */
export interface LocalOptions {
  /** How long the upstream subscription stays after the last local subscriber, in ms. Default 1000. */
  readonly lingerMs?: number
  /** Messages that may wait for a subscriber's `start()`, or for a repair; more: a reset, or another read. Default 1000. */
  readonly maxBuffered?: number
  /** Messages a read of the log. Default 200. */
  readonly pageSize?: number
  readonly onEvent?: (event: BrokerEvent) => void
}

export interface HubOptions extends LocalOptions {
  readonly classes: ChannelClasses
  readonly log: ChannelLog
  readonly upstream: Upstream
}

/** Throws `invalid` for options that cannot work. Brokers ask before they open anything. */
export function checkLocalOptions({ lingerMs, maxBuffered, pageSize }: LocalOptions): void {
  checkNumbers({ lingerMs }, { least: 0, most: maxTimerMs })
  checkNumbers({ maxBuffered }, { least: 1 })
  checkNumbers({ pageSize }, { isWhole: true })
}

const checksAtOnce = 100

/** All channels that have subscribers on this instance. */
export class ChannelHub {
  readonly #options: Required<HubOptions>
  readonly #context: FeedContext
  readonly #feeds = new Map<string, ChannelFeed>()
  readonly #leaving = new Map<string, NodeJS.Timeout>()
  #closed = false

  constructor(options: HubOptions) {
    const { lingerMs = 1000, maxBuffered = 1000, pageSize = 200, onEvent = () => {} } = options
    this.#options = { ...options, lingerMs, maxBuffered, pageSize, onEvent }
    this.#context = { ...this.#options, onEmpty: (feed) => this.#linger(feed) }
  }

  get channels(): number {
    return this.#feeds.size
  }

  get subscriptions(): number {
    let sum = 0
    for (const feed of this.#feeds.values()) sum += feed.size
    return sum
  }

  async subscribe(
    channel: string,
    subscriber: Subscriber,
    options: SubscribeOptions = {},
  ): Promise<Subscription> {
    if (this.#closed) throw new PubSubError('closed', 'The broker is closed')
    const feed = this.#feeds.get(channel) ?? this.#open(channel)
    return feed.subscribe(subscriber, options)
  }

  /** A live message from upstream. */
  receive(message: ChannelMessage): void {
    this.#feeds.get(message.channel)?.receive(message)
  }

  /** The upstream may have been silent on this channel. */
  sync(channel: string): void {
    this.#feeds.get(channel)?.sync()
  }

  /** Compares idle channels with their logs, some at a time; those that lag read what they missed. */
  async check(): Promise<void> {
    const idle: [string, Position][] = []
    for (const [channel, feed] of this.#feeds) {
      const head = feed.takeIdle()
      if (head !== undefined) idle.push([channel, head])
    }
    for (let at = 0; at < idle.length && !this.#closed; at += checksAtOnce) {
      const moved = await this.#options.log.findMoved(new Map(idle.slice(at, at + checksAtOnce)))
      for (const [channel, head] of moved) {
        const feed = this.#feeds.get(channel)
        if (feed !== undefined && !feed.compare(head)) feed.sync()
      }
    }
  }

  close(): void {
    this.#closed = true
    for (const timer of this.#leaving.values()) clearTimeout(timer)
    this.#leaving.clear()
    for (const feed of this.#feeds.values()) feed.close()
    this.#feeds.clear()
  }

  #open(channel: string): ChannelFeed {
    const { historySize } = this.#options.classes.of(channel)
    const feed = new ChannelFeed({ channel, logged: historySize > 0, context: this.#context })
    this.#feeds.set(channel, feed)
    return feed
  }

  /** Leaves late: somebody who reconnects finds the channel still warm. */
  #linger(feed: ChannelFeed): void {
    const { channel } = feed
    if (this.#closed || this.#leaving.has(channel) || this.#feeds.get(channel) !== feed) return
    const timer = setTimeout(() => {
      this.#leaving.delete(channel)
      if (feed.used) return
      const { hasJoined } = feed
      feed.close()
      this.#feeds.delete(channel)
      this.#options.upstream.unsubscribe(channel)
      if (hasJoined) this.#options.onEvent({ type: 'left', channel })
    }, this.#options.lingerMs)
    timer.unref()
    this.#leaving.set(channel, timer)
  }
}
