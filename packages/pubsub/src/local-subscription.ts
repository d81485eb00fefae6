import type { Audience, ChannelMessage, Position, Reset, Subscriber, Subscription } from './broker.ts'

/** The channel that a subscription belongs to. */
export interface SubscriptionOwner {
  readonly channel: string
  /** How many messages may wait for `start()`. */
  readonly maxBuffered: number
  /** The subscriber threw. */
  failed(error: unknown): void
  /** The subscription may `enter` its audience. */
  ready(subscription: LocalSubscription): void
  /** The subscription was closed. */
  left(subscription: LocalSubscription): void
}

export interface LocalSubscriptionOptions {
  readonly owner: SubscriptionOwner
  readonly subscriber: Subscriber
  /** Where the channel is now. */
  readonly position: Position
}

/** The messages of the log from `low` to the head, without a hole. */
export interface LogRange extends Position {
  readonly low: number
  readonly messages: readonly ChannelMessage[]
}

/**
 * One subscriber's queue before `start()`, and its filter after.
 *
 *     attached ──────── buffering ──────── start() ── live ────── enter() ── shared ────── close()
 *        │ live messages and resets queue up │ queue in order │ each at once │ by the audience
 */
export class LocalSubscription implements Subscription {
  #state: 'buffering' | 'live' | 'shared' | 'closed' = 'buffering'
  /** Where the log brought this subscriber when the channel had not come so far: what is not behind it is known. */
  #ahead: Position | undefined
  readonly #subscriber: Subscriber
  readonly #owner: SubscriptionOwner
  recovered: boolean | undefined
  /** None any more when live or closed. */
  #queue: (ChannelMessage | Reset)[] | undefined = []
  /** What the caller was told. */
  #epoch: string
  #seq: number
  #reset: Reset | undefined

  constructor({ owner, subscriber, position }: LocalSubscriptionOptions) {
    this.#owner = owner
    this.#subscriber = subscriber
    this.#epoch = position.epoch
    this.#seq = position.seq
  }

  get channel(): string {
    return this.#owner.channel
  }

  get epoch(): string {
    return this.#epoch
  }

  get seq(): number {
    return this.#seq
  }

  get closed(): boolean {
    return this.#state === 'closed'
  }

  /** A message that came from the log, in order. */
  accept(message: ChannelMessage): void {
    if (this.#ahead !== undefined) {
      if (this.#knows(message)) return
      this.#ahead = undefined
    }
    if (this.#state === 'live') {
      this.#deliver(message)
      this.#offer()
    } else if (this.#queue !== undefined) {
      if (this.#queue.length < this.#owner.maxBuffered) this.#queue.push(message)
      else
        this.#goOnFrom({ channel: this.channel, epoch: message.epoch, seq: message.seq, reason: 'overflow' })
    }
  }

  /** The channel lost its continuity before this position. */
  reset(reset: Reset): void {
    // The log gave this subscriber what the channel had not come to when it lost its way.
    if (!this.#knows(reset)) this.#goOnFrom(reset)
  }

  /** Puts what was missed since `since` before what came meanwhile, if `range` proves that nothing is missing. */
  recover(since: Position, range: LogRange | undefined): void {
    const proven =
      this.#reset === undefined &&
      range !== undefined &&
      range.epoch === since.epoch &&
      range.epoch === this.#epoch &&
      range.seq >= this.#seq &&
      range.seq >= since.seq &&
      (since.seq === range.seq || since.seq + 1 >= range.low)
    this.recovered = proven
    if (this.#queue === undefined) return
    if (proven) {
      const later = this.#queue.filter((item) => item.seq > range.seq)
      this.#queue = [...range.messages.filter(({ seq }) => seq > since.seq), ...later]
      this.#tell(since)
      if (later.length === 0) this.#ahead = { epoch: range.epoch, seq: range.seq }
    } else if (this.#reset !== undefined) {
      // It happened before anybody was told a position: the position after it says the same.
      this.#tell(this.#reset)
      this.#queue.splice(0, 1)
      this.#reset = undefined
    }
  }

  start(): void {
    if (this.#state !== 'buffering') return
    // A subscriber that publishes while it is called must not overtake its own queue.
    for (let item = this.#queue?.shift(); item !== undefined; item = this.#queue?.shift()) {
      this.#deliver(item)
      if (this.closed) return
    }
    this.#state = 'live'
    this.#queue = undefined
    this.#offer()
  }

  get audience(): Audience | undefined {
    return this.#subscriber.audience
  }

  /** Messages come by the audience from now on. False: it is too early, or too late. */
  enter(): boolean {
    if (this.#state !== 'live' || this.#ahead !== undefined) return false
    this.#state = 'shared'
    this.#subscriber.onEnter?.()
    return true
  }

  close(): void {
    if (this.#state === 'closed') return
    if (this.#state === 'shared') this.#subscriber.onLeave?.()
    this.#state = 'closed'
    this.#queue = undefined
    this.#owner.left(this)
  }

  #tell({ epoch, seq }: Position): void {
    this.#epoch = epoch
    this.#seq = seq
  }

  #knows({ epoch, seq }: Position): boolean {
    return this.#ahead !== undefined && epoch === this.#ahead.epoch && seq <= this.#ahead.seq
  }

  #goOnFrom(reset: Reset): void {
    this.#ahead = undefined
    if (this.#state === 'live' || this.#state === 'shared') this.#deliver(reset)
    else if (this.#queue !== undefined) {
      this.#queue = [reset]
      this.#reset = reset
    }
  }

  #offer(): void {
    if (this.#ahead === undefined && this.audience !== undefined) this.#owner.ready(this)
  }

  #deliver(item: ChannelMessage | Reset): void {
    try {
      if ('data' in item) this.#subscriber.onMessage(item)
      else this.#subscriber.onReset(item)
    } catch (error) {
      this.#owner.failed(error)
    }
  }
}
