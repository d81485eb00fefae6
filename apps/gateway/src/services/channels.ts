/**
 * Joins sockets to channels: one broker subscription per socket and channel, one frame per message for all of them.
 *
 *   broker ── message ──▶ frame (built once) ─┬─▶ audience: all sockets that take everything
 *                                             └─▶ accepts? ──▶ connection.send, for each of the others
 */
import type { Connection, Subscriptions } from '@gw/connections'
import {
  type Broker,
  type ChannelKind,
  type ChannelMessage,
  type Position,
  type Subscription,
} from '@gw/pubsub'
import { GatewayError } from '../errors.ts'
import {
  type ChannelTraits,
  type FanOutHooks,
  SocketAudience,
  SocketSubscriber,
} from './socket-subscriber.ts'

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
  /** False: `accepts` is only asked for what waits for `start()`. Default true. */
  readonly acceptsLive?: boolean
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

const plain = { event: { kind: 'event' }, ephemeral: { kind: 'ephemeral' } } as const

export interface ChannelsOptions extends FanOutHooks {
  readonly broker: Broker
  readonly subscriptions: Subscriptions
  readonly kindOf: (channel: string) => ChannelKind
  /** A subscription with a position was made. */
  readonly onResume?: (recovered: boolean) => void
  /** Between true and false a socket is given what it missed, or what waited for its start. */
  readonly onReplay?: (isReplay: boolean) => void
}

export function createChannels({ broker, subscriptions, kindOf, ...hooks }: ChannelsOptions): Channels {
  const joined = new Map<string, Map<string, Subscription>>()

  // Of the sockets of a channel that take every message. From its second socket on: a user's own channel mostly has one.
  const audiences = new Map<string, SocketAudience>()

  function audienceOf(channel: string, traits: ChannelTraits): SocketAudience {
    const audience = audiences.get(channel) ?? new SocketAudience(traits)
    audiences.set(channel, audience)
    return audience
  }

  function subscriberFor(
    connection: Connection,
    channel: string,
    { accepts, acceptsLive = true, hasPosition = true, onReset }: JoinOptions,
  ): SocketSubscriber {
    const kind = kindOf(channel)
    const sendOptions = kind === 'state' ? { kind, key: channel } : plain[kind]
    const traits = { sendOptions, hasPosition, hooks }
    const isAlone = (accepts !== undefined && acceptsLive) || subscriptions.subscriberCount(channel) < 2
    const audience = isAlone ? undefined : audienceOf(channel, traits)
    return new SocketSubscriber({ connection, channel, traits, audience, accepts, acceptsLive, onReset })
  }

  function left(channel: string): void {
    if (subscriptions.subscriberCount(channel) === 0) audiences.delete(channel)
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
      // What it left when it closed must not come back.
      if (connection.state !== 'open') throw new GatewayError('cancelled')
      const place = subscriptions.subscribe(connection.id, channel)
      if (!place.ok) throw new SubscriptionCapError()
      const isNew = !joined.get(connection.id)?.has(channel)
      const subscriber = subscriberFor(connection, channel, options)
      let subscription: Subscription
      try {
        subscription = await broker.subscribe(channel, subscriber, {
          ...(options.since && { since: options.since }),
        })
      } catch (error) {
        if (isNew) subscriptions.unsubscribe(connection.id, channel)
        left(channel)
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
          subscriber.started()
        },
      }
    },

    leave(connectionId, channel) {
      const was = subscriptions.unsubscribe(connectionId, channel)
      forget(connectionId, channel)?.close()
      left(channel)
      return was
    },

    leaveAll(connectionId) {
      const channels = subscriptions.unsubscribeAll(connectionId)
      for (const subscription of joined.get(connectionId)?.values() ?? []) subscription.close()
      joined.delete(connectionId)
      channels.forEach(left)
      return channels
    },

    has: (connectionId, channel) => joined.get(connectionId)?.has(channel) ?? false,
    subscribersOf: (channel) => subscriptions.getSubscribers(channel),
  }
}
