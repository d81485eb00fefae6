/**
 * Joins sockets to channels: one broker subscription per socket and channel, one frame per message for all of them.
 *
 *   broker ── message ──▶ accepts? ──▶ frame (built once) ──▶ connection.send
 */
import {
  type Connection,
  encodeFrame,
  type Frame,
  type SendOptions,
  type SendResult,
  type Subscriptions,
} from '@gw/connections'
import type { Reset as ResetMessage } from '@gw/protocol'
import {
  type Broker,
  type ChannelKind,
  type ChannelMessage,
  type Position,
  type Subscriber,
  type Subscription,
} from '@gw/pubsub'
import { GatewayError } from '../errors.ts'
import { frameOf } from './channel-frame.ts'
import type { DerivedFrame } from './table-watch.ts'

/** A socket has all the subscriptions that it may have. */
export class SubscriptionCapError extends Error {
  readonly code = 'too_many_subscriptions'

  constructor() {
    super('Too many subscriptions on this connection')
    this.name = 'SubscriptionCapError'
  }
}

/** A position and its channel, as members of a message. */
export interface ChannelPosition extends Position {
  readonly channel: string
}

export interface JoinOptions {
  readonly since?: Position
  /** Called for each message before it is sent; false keeps it from this socket. */
  readonly accepts?: (message: ChannelMessage) => boolean
  /** False: messages go out as they were published, without channel, epoch and seq. Default true. */
  readonly hasPosition?: boolean
  /** Called behind the `Reset` message when continuity was lost: sends a snapshot that has this position. */
  readonly onReset?: (position: ChannelPosition) => void
}

export interface Joined {
  /** Where live messages go on, as reply members. */
  readonly position: ChannelPosition
  /** False when `since` could not be joined on. */
  readonly recovered: boolean
  /** False when this socket had the channel before. */
  readonly isNew: boolean
  /** Lets messages flow: first those that came since the join, then live. */
  readonly start: () => void
}

export interface Channels {
  /**
   * Subscribes; messages wait until `start()`. Throws `unavailable` (retryable), `invalid_request` for a name that no
   * channel can have, or {@link SubscriptionCapError}.
   */
  join(connection: Connection, channel: string, options?: JoinOptions): Promise<Joined>
  /** True when the socket had the channel. */
  leave(connectionId: string, channel: string): boolean
  /** Ends all of a socket's subscriptions; returns the channels. */
  leaveAll(connectionId: string): readonly string[]
  has(connectionId: string, channel: string): boolean
  /** Connection ids on this instance. */
  subscribersOf(channel: string): Iterable<string>
}

export interface ChannelsOptions {
  readonly broker: Broker
  readonly subscriptions: Subscriptions
  readonly kindOf: (channel: string) => ChannelKind
  /** Called once for each message, before the first socket gets it. */
  readonly onFanOut?: (message: ChannelMessage) => void
  /** What goes out behind a message to each socket that got it. */
  readonly derivedFrom?: (message: ChannelMessage) => readonly DerivedFrame[]
  readonly onReset?: (channel: string, reason: string) => void
  /** A subscription with a position was made. */
  readonly onResume?: (recovered: boolean) => void
  /** Called for each message to each socket. */
  readonly onSent?: (message: ChannelMessage, result: SendResult) => void
  /** Called for each other frame to each socket. */
  readonly onSentFrame?: (frame: Frame, result: SendResult) => void
  /** Between true and false a socket is given what it missed, or what waited for its start. */
  readonly onReplay?: (isReplay: boolean) => void
}

export function createChannels({ broker, subscriptions, kindOf, ...hooks }: ChannelsOptions): Channels {
  const joined = new Map<string, Map<string, Subscription>>()

  function sendFrame(connection: Connection, frame: Frame, options?: SendOptions): void {
    const result = connection.send(frame, options)
    hooks.onSentFrame?.(frame, result)
  }

  function subscriberFor(connection: Connection, channel: string, options: JoinOptions): Subscriber {
    const kind = kindOf(channel)
    const sendOptions = kind === 'state' ? { kind, key: channel } : { kind }
    return {
      onMessage(message) {
        if (message.encoded === undefined) hooks.onFanOut?.(message)
        const frame = frameOf(message, options.hasPosition)
        if (options.accepts !== undefined && !options.accepts(message)) return
        const result = connection.send(frame, sendOptions)
        hooks.onSent?.(message, result)
        for (const behind of hooks.derivedFrom?.(message) ?? [])
          sendFrame(connection, behind.frame, behind.options)
      },
      onReset({ epoch, seq, reason }) {
        hooks.onReset?.(channel, reason)
        const reset: ResetMessage = { type: 'Reset', channel, epoch, reason }
        sendFrame(connection, encodeFrame(JSON.stringify(reset)))
        options.onReset?.({ channel, epoch, seq })
      },
    }
  }

  function forget(connectionId: string, channel: string): Subscription | undefined {
    const own = joined.get(connectionId)
    const subscription = own?.get(channel)
    own?.delete(channel)
    if (own?.size === 0) joined.delete(connectionId)
    return subscription
  }

  return {
    async join(connection, channel, options = {}) {
      const place = subscriptions.subscribe(connection.id, channel)
      if (!place.ok) throw new SubscriptionCapError()
      const isNew = !joined.get(connection.id)?.has(channel)
      let subscription: Subscription
      try {
        subscription = await broker.subscribe(channel, subscriberFor(connection, channel, options), {
          ...(options.since && { since: options.since }),
        })
      } catch (error) {
        if (isNew) subscriptions.unsubscribe(connection.id, channel)
        const isInvalid = error instanceof Error && 'code' in error && error.code === 'invalid'
        if (isInvalid) throw new GatewayError('invalid_request', undefined, { cause: error })
        throw new GatewayError('unavailable', undefined, { cause: error, retryAfterMs: 1000 })
      }
      if (connection.state !== 'open' || !subscriptions.has(connection.id, channel)) {
        subscription.close()
        throw new GatewayError('cancelled')
      }
      forget(connection.id, channel)?.close()
      const own = joined.get(connection.id) ?? new Map<string, Subscription>()
      joined.set(connection.id, own.set(channel, subscription))
      const { epoch, seq, recovered } = subscription
      if (recovered !== undefined) hooks.onResume?.(recovered)
      return {
        position: { channel, epoch, seq },
        recovered: recovered === true,
        isNew,
        start() {
          hooks.onReplay?.(true)
          subscription.start()
          hooks.onReplay?.(false)
        },
      }
    },

    leave(connectionId, channel) {
      const was = subscriptions.unsubscribe(connectionId, channel)
      forget(connectionId, channel)?.close()
      return was
    },

    leaveAll(connectionId) {
      const channels = subscriptions.unsubscribeAll(connectionId)
      for (const subscription of joined.get(connectionId)?.values() ?? []) subscription.close()
      joined.delete(connectionId)
      return channels
    },

    has: (connectionId, channel) => joined.get(connectionId)?.has(channel) ?? false,
    subscribersOf: (channel) => subscriptions.getSubscribers(channel),
  }
}
