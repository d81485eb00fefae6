/** A place in a channel. `epoch` is one life of the channel's log, `seq` counts its messages from 1 without holes. */
export interface Position {
  readonly epoch: string
  readonly seq: number
}

/** One message as every local subscriber gets it: the same object for all. */
export interface ChannelMessage extends Position {
  readonly channel: string
  /** The bytes as published. Shared: never write into them. */
  readonly data: Buffer
  /** The backend's clock at publish, in ms since 1970; never goes back within an epoch. */
  readonly publishedAtMs: number
  /** W3C trace context of the publisher. */
  readonly traceparent?: string
  /** The request that it was published for. */
  readonly requestId?: string
  /** Free for subscribers: what one encoded from `data` the others need not encode again. */
  encoded?: unknown
}

/**
 * Why continuity ended: `epoch` the log began anew (Redis came back empty, or with an older past); `trimmed` what was
 * missed is no longer kept; `overflow` more came before `start()` than is buffered.
 */
export type ResetReason = 'epoch' | 'trimmed' | 'overflow'

/** Continuity ended: messages may be missing before this position; live ones follow from `seq + 1`. */
export interface Reset extends Position {
  readonly channel: string
  readonly reason: ResetReason
}

/** Both are called synchronously and in order. What they throw is reported as an event and changes nothing else. */
export interface Subscriber {
  onMessage(message: ChannelMessage): void
  onReset(reset: Reset): void
  /** Shared with others of the channel: live messages come to it, and only what was missed or waited to `onMessage`. */
  readonly audience?: Audience | undefined
  /** From the next message on the audience hears for this subscriber, until `onLeave`. */
  onEnter?(): void
  onLeave?(): void
}

/** Hears live messages in the place of many subscribers: one call a message, however many they are. */
export interface Audience {
  onMessage(message: ChannelMessage): void
}

/** A subscriber's place on a channel. Everything after (`epoch`, `seq`) is delivered: once, in order, or a reset says so. */
export interface Subscription extends Position {
  readonly channel: string
  /** With `since`: whether everything after it follows. False: nothing before this position does. Undefined without. */
  readonly recovered: boolean | undefined
  /** Nothing is delivered before this call: first what was missed, then what came meanwhile, then live. */
  start(): void
  /** Idempotent; nothing is delivered after it. */
  close(): void
}

export interface PublishOptions {
  /** A second publish with the same key on the same channel, within the broker's `idempotencyTtlMs`, is not published. */
  readonly idempotencyKey?: string
  /** W3C `traceparent`, handed to subscribers. */
  readonly traceparent?: string
  /** Names the request that this is published for; handed to subscribers. */
  readonly requestId?: string
}

export interface PublishResult extends Position {
  /** True: the idempotency key was known; the position is that of the first publish. */
  readonly duplicate: boolean
}

export interface SubscribeOptions {
  /** The last position that the subscriber has. Without it the subscription starts at the head. */
  readonly since?: Position
}

export interface ReadOptions {
  /** Read what follows it, oldest first. Without it the latest are read. */
  readonly since?: Position
  /** At most so many messages. Default 100, at most 10 000. */
  readonly limit?: number
}

/** What the log holds; `epoch` and `seq` are its head. */
export interface ReadResult extends Position {
  /** In order of `seq`. More follow when the last one's `seq` is below the head. */
  readonly messages: readonly ChannelMessage[]
  /** False: messages right after `since` are gone (trimmed, or another epoch). Always true without `since`. */
  readonly complete: boolean
}

/** Whether messages come through now. `probeAgeMs` is the age of the last one that made the whole round trip. */
export interface BrokerHealth {
  readonly ok: boolean
  readonly probeAgeMs?: number
  readonly reason?: string
}

export interface BrokerStats {
  /** Channels with an upstream subscription. */
  readonly channels: number
  /** Local subscriptions. */
  readonly subscriptions: number
}

/** What happened inside, for logs and metrics. */
export type BrokerEvent =
  | { readonly type: 'joined' | 'left'; readonly channel: string }
  | { readonly type: 'repaired'; readonly channel: string; readonly messages: number }
  | { readonly type: 'duplicate'; readonly channel: string }
  | { readonly type: 'reset'; readonly channel: string; readonly reason: ResetReason }
  | { readonly type: 'link'; readonly status: 'up' | 'down' | 'rebuilt' }
  | { readonly type: 'resubscribed'; readonly channels: number; readonly durationMs: number }
  | {
      readonly type: 'error'
      readonly stage: BrokerStage
      readonly channel?: string
      readonly error: unknown
    }

/** Where an error of a `BrokerEvent` came from. */
export type BrokerStage = 'subscriber' | 'repair' | 'link' | 'probe' | 'check' | 'ingest' | 'decode'

/** Ordered channels. Every subscriber of a channel, on every instance, sees its messages once and in one order. */
export interface Broker {
  /** Resolves when the message has its place in the channel. Rejects with `PubSubError`. */
  publish(channel: string, data: Buffer | string, options?: PublishOptions): Promise<PublishResult>
  /** Resolves when the place is known; deliveries begin with `start()`. Rejects with `PubSubError`. */
  subscribe(channel: string, subscriber: Subscriber, options?: SubscribeOptions): Promise<Subscription>
  /** The log of a channel. Rejects with `PubSubError`. */
  read(channel: string, options?: ReadOptions): Promise<ReadResult>
  health(): BrokerHealth
  stats(): BrokerStats
  /** Ends all subscriptions and what the broker opened; clients passed in stay open. Idempotent. */
  close(): Promise<void>
}
