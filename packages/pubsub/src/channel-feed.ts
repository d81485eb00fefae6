import type {
  Audience,
  BrokerEvent,
  ChannelMessage,
  Position,
  ResetReason,
  Subscriber,
  SubscribeOptions,
  Subscription,
} from './broker.ts'
import type { ChannelLog, Upstream } from './channel-log.ts'
import { PubSubError } from './errors.ts'
import { JoinRounds } from './join-rounds.ts'
import { LocalSubscription, type SubscriptionOwner } from './local-subscription.ts'

/** What all channels of an instance share. */
export interface FeedContext {
  readonly log: ChannelLog
  readonly upstream: Upstream
  /** Messages a read. */
  readonly pageSize: number
  readonly maxBuffered: number
  readonly onEvent: (event: BrokerEvent) => void
  /** Nobody is subscribed any more. */
  readonly onEmpty: (feed: ChannelFeed) => void
}

export interface FeedOptions {
  readonly channel: string
  /** False for ephemeral channels: holes are passed over, there is nothing to repair them from. */
  readonly logged: boolean
  readonly context: FeedContext
}

type Head = Position & { readonly publishedAtMs: number }

const firstRetryMs = 100
const maxRetryMs = 2000

/**
 * One channel on one instance: turns what the upstream brings into one gapless order for all local subscribers.
 *
 *     joining ──► live ──hole, new epoch, link back──► syncing ──► live
 *                                                        │ messages wait (bounded), the log is read to its head
 */
export class ChannelFeed implements SubscriptionOwner {
  readonly channel: string
  readonly #logged: boolean
  readonly #context: FeedContext
  /** Those that hear for themselves. */
  readonly #alone = new Set<LocalSubscription>()
  // Made for the first that shares: there may be a channel for each user.
  #shared: Map<Audience, Set<LocalSubscription>> | undefined
  #isDelivering = false
  #entering: LocalSubscription[] | undefined
  // Made for the first who was here before: there may be a channel for each user.
  #joins: JoinRounds | undefined
  #joining: Promise<void> | undefined
  #head: Head | undefined
  #syncing = true
  #again = false
  #pending: ChannelMessage[] = []
  #retry: NodeJS.Timeout | undefined
  #retryMs = firstRetryMs
  #waiting = 0
  #moved = false
  /** The head that was compared with the log: what comes late below it is a duplicate. */
  #checkedSeq = -1
  #closed = false

  constructor({ channel, logged, context }: FeedOptions) {
    this.channel = channel
    this.#logged = logged
    this.#context = context
  }

  get maxBuffered(): number {
    return this.#context.maxBuffered
  }

  get size(): number {
    let size = this.#alone.size
    for (const subscriptions of this.#shared?.values() ?? []) size += subscriptions.size
    return size
  }

  /** Somebody is subscribed or about to be. */
  get used(): boolean {
    return this.#alone.size > 0 || this.#shared !== undefined || this.#waiting > 0
  }

  /** `joined` was said: it never is for a channel whose joins all failed. */
  get hasJoined(): boolean {
    return this.#head !== undefined
  }

  async subscribe(subscriber: Subscriber, { since }: SubscribeOptions): Promise<Subscription> {
    this.#waiting++
    try {
      await this.#join()
      // As it is now, in the same step in which the subscription begins to hear.
      const head = this.#head
      if (this.#closed || head === undefined) throw new PubSubError('closed', 'The broker is closed')
      const subscription = new LocalSubscription({ owner: this, subscriber, position: head })
      this.#alone.add(subscription)
      if (since !== undefined) await this.#recover(subscription, since)
      return subscription
    } finally {
      this.#waiting--
      if (!this.used) this.#context.onEmpty(this)
    }
  }

  failed(error: unknown): void {
    this.#context.onEvent({ type: 'error', stage: 'subscriber', channel: this.channel, error })
  }

  /** Between two messages: who enters while one is delivered would get it twice, or not at all. */
  ready(subscription: LocalSubscription): void {
    const { audience } = subscription
    if (this.#isDelivering) (this.#entering ??= []).push(subscription)
    else if (audience !== undefined && subscription.enter()) {
      this.#alone.delete(subscription)
      this.#shared ??= new Map()
      this.#shared.set(audience, (this.#shared.get(audience) ?? new Set()).add(subscription))
    }
  }

  left(subscription: LocalSubscription): void {
    if (!this.#alone.delete(subscription)) this.#leave(subscription)
    if (!this.used) this.#context.onEmpty(this)
  }

  /** A live message from upstream. */
  receive(message: ChannelMessage): void {
    if (this.#syncing || this.#head === undefined) {
      if (this.#pending.length < this.#context.maxBuffered) this.#pending.push(message)
      else {
        // They are in the log: reading them again is cheaper than keeping them all.
        this.#pending.length = 0
        this.#again = true
      }
    } else {
      const { epoch, seq } = this.#head
      if (!this.#apply(message)) this.sync()
      else if (message.seq <= seq && message.epoch === epoch)
        this.#context.onEvent({ type: 'duplicate', channel: message.channel })
    }
  }

  /** Where we are, if nothing was delivered since the last call: a busy channel notices a loss by itself. */
  takeIdle(): Position | undefined {
    const idle = !this.#moved && !this.#syncing
    this.#moved = false
    return idle ? this.#head : undefined
  }

  /** The log's head was seen at `position`: are we there? */
  compare(position: Position): boolean {
    const head = this.#head
    return this.#syncing || head === undefined || (head.epoch === position.epoch && head.seq === position.seq)
  }

  /** Reads the log from the last delivered message to its head; for after a silence of the link. */
  sync(): void {
    if (this.#closed) return
    this.#again = true
    if (this.#retry !== undefined) clearTimeout(this.#retry)
    else if (this.#syncing || this.#head === undefined) return
    this.#syncing = true
    void this.#catchUp()
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#retry)
    for (const subscription of this.#all()) subscription.close()
    this.#pending.length = 0
  }

  #recover(subscription: LocalSubscription, since: Position): Promise<void> {
    this.#joins ??= new JoinRounds({
      ...this.#context,
      channel: this.channel,
      epoch: () => this.#head?.epoch,
    })
    return this.#joins.recover(subscription, since)
  }

  async #join(): Promise<void> {
    this.#joining ??= this.#begin()
    return this.#joining
  }

  /** First the upstream, then the head: the other way round loses what is published in between. */
  async #begin(): Promise<void> {
    const { upstream, log, onEvent } = this.#context
    const { channel } = this
    try {
      await upstream.subscribe(channel)
      const { epoch, seq, publishedAtMs } = await log.read(channel, { limit: 0 })
      this.#head = { epoch, seq, publishedAtMs }
    } catch (error) {
      this.#joining = undefined
      this.#pending.length = 0
      throw error
    }
    onEvent({ type: 'joined', channel })
    this.#settle()
    if (this.#again) void this.#catchUp()
    else this.#syncing = false
  }

  /** Delivers or drops a message. False: only the log can tell what to do. */
  #apply(message: ChannelMessage): boolean {
    const head = this.#head
    if (head === undefined) return false
    if (message.epoch === head.epoch) {
      if (message.seq === head.seq + 1) {
        this.#deliver(message)
        return true
      }
      // A log that went back (a failover to a replica that lagged) gives used numbers to new messages.
      if (message.seq <= head.seq) return this.#isKnown(message, head)
    }
    if (this.#logged) return false
    this.#deliver(message)
    return true
  }

  /** Is it a duplicate? The times of earlier messages are not kept: below the head the log is asked, once for each head. */
  #isKnown({ seq, publishedAtMs }: ChannelMessage, head: Head): boolean {
    // Where there is no log, there is nothing to ask.
    if (!this.#logged) return publishedAtMs <= head.publishedAtMs
    if (seq === head.seq) return publishedAtMs === head.publishedAtMs
    const isChecked = this.#checkedSeq === head.seq
    this.#checkedSeq = head.seq
    return isChecked && publishedAtMs <= head.publishedAtMs
  }

  #deliver(message: ChannelMessage): void {
    this.#head = message
    this.#moved = true
    this.#isDelivering = true
    try {
      for (const audience of this.#shared?.keys() ?? []) this.#tell(audience, message)
      for (const subscription of this.#alone) subscription.accept(message)
    } finally {
      this.#isDelivering = false
    }
    const entering = this.#entering
    this.#entering = undefined
    for (const subscription of entering ?? []) this.ready(subscription)
  }

  #tell(audience: Audience, message: ChannelMessage): void {
    try {
      audience.onMessage(message)
    } catch (error) {
      this.failed(error)
    }
  }

  #leave(subscription: LocalSubscription): void {
    const { audience } = subscription
    const shared = audience && this.#shared?.get(audience)
    if (audience === undefined || shared?.delete(subscription) !== true || shared.size > 0) return
    this.#shared?.delete(audience)
    if (this.#shared?.size === 0) this.#shared = undefined
  }

  /** As they are now: they may leave meanwhile. */
  #all(): readonly LocalSubscription[] {
    return [...this.#alone, ...[...(this.#shared?.values() ?? [])].flatMap((some) => [...some])]
  }

  /** Applies what came while the log was read; what does not fit means that the log has moved on. */
  #settle(): void {
    const pending = this.#pending
    this.#pending = []
    // It was just read, and is ahead of what is still on the way.
    this.#checkedSeq = this.#head?.seq ?? -1
    for (const message of pending) if (!this.#apply(message)) this.#again = true
  }

  async #catchUp(): Promise<void> {
    const { onEvent } = this.#context
    const { channel } = this
    this.#retry = undefined
    let repaired = 0
    try {
      while (this.#again && !this.#closed) {
        this.#again = false
        repaired += await this.#readToHead()
        this.#settle()
      }
      this.#syncing = false
      this.#retryMs = firstRetryMs
      if (repaired > 0) onEvent({ type: 'repaired', channel, messages: repaired })
    } catch (error) {
      onEvent({ type: 'error', stage: 'repair', channel, error })
      if (this.#closed) return
      this.#again = true
      this.#retry = setTimeout(() => void this.#catchUp(), this.#retryMs * (0.5 + Math.random()))
      this.#retryMs = Math.min(this.#retryMs * 2, maxRetryMs)
    }
  }

  async #readToHead(): Promise<number> {
    const { log, pageSize } = this.#context
    let delivered = 0
    for (let head = this.#head; head !== undefined && !this.#closed; head = this.#head) {
      const page = await log.read(this.channel, { since: head, limit: pageSize })
      if (this.#closed) return delivered
      if (page.epoch !== head.epoch) return (this.#reset(page, 'epoch'), delivered)
      if (page.seq < head.seq || (page.sinceAtMs !== undefined && page.sinceAtMs !== head.publishedAtMs)) {
        // Everybody who knows the lost numbers must be told, also those who come back later: a new epoch does that.
        await log.rotate(this.channel, head.epoch)
        continue
      }
      if (page.seq === head.seq) return delivered
      const [first] = page.messages
      if (first?.seq !== head.seq + 1) {
        if (this.#logged) this.#reset(page, 'trimmed')
        else this.#head = page
        return delivered
      }
      for (const message of page.messages) if (this.#apply(message)) delivered++
    }
    return delivered
  }

  #reset({ epoch, seq, publishedAtMs }: Head, reason: ResetReason): void {
    const { channel } = this
    this.#head = { epoch, seq, publishedAtMs }
    if (!this.#logged) return
    this.#context.onEvent({ type: 'reset', channel, reason })
    for (const subscription of this.#all()) subscription.reset({ channel, epoch, seq, reason })
  }
}
