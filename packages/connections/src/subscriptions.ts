import { checkNumbers } from './check-numbers.ts'

export interface SubscriptionsOptions {
  /** Channels of one connection. */
  readonly maxChannelsPerConnection: number
  /** Channels with subscribers in all. Default 1,000,000. */
  readonly maxChannels?: number
}

/** A place on a channel, or why there is none. */
export type SubscribeResult =
  | {
      readonly ok: true
      /** Nobody on this instance had the channel. */
      readonly isFirst: boolean
      /** The connection had it already. */
      readonly isRepeat: boolean
    }
  | { readonly ok: false; readonly code: 'too_many_channels' | 'too_many_channels_of_connection' }

/** Which connections of this instance want which channels. Every operation is O(1), but for the lists it returns. */
export interface Subscriptions {
  subscribe(connectionId: string, channel: string): SubscribeResult
  /** False when there was no subscription. */
  unsubscribe(connectionId: string, channel: string): boolean
  /** Returns the channels that the connection had. */
  unsubscribeAll(connectionId: string): readonly string[]
  has(connectionId: string, channel: string): boolean
  getSubscribers(channel: string): Iterable<string>
  subscriberCount(channel: string): number
  getChannels(connectionId: string): Iterable<string>
  /** Channels with subscribers, in no particular order. */
  channels(): Iterable<string>
  readonly channelCount: number
}

const none: readonly string[] = []

/** Throws `invalid` for bounds that are no numbers of at least 0. */
export function createSubscriptions({
  maxChannelsPerConnection,
  maxChannels = 1_000_000,
}: SubscriptionsOptions): Subscriptions {
  checkNumbers({ maxChannelsPerConnection, maxChannels }, { least: 0 })
  const byChannel = new Map<string, Set<string>>()
  const byConnection = new Map<string, Set<string>>()

  function remove(index: Map<string, Set<string>>, key: string, value: string): boolean {
    const values = index.get(key)
    const had = values?.delete(value) ?? false
    if (values?.size === 0) index.delete(key)
    return had
  }

  return {
    get channelCount() {
      return byChannel.size
    },
    subscribe(connectionId, channel) {
      const subscribers = byChannel.get(channel)
      if (subscribers?.has(connectionId)) return { ok: true, isFirst: false, isRepeat: true }
      const channels = byConnection.get(connectionId)
      if ((channels?.size ?? 0) >= maxChannelsPerConnection)
        return { ok: false, code: 'too_many_channels_of_connection' }
      if (!subscribers && byChannel.size >= maxChannels) return { ok: false, code: 'too_many_channels' }
      byChannel.set(channel, (subscribers ?? new Set()).add(connectionId))
      byConnection.set(connectionId, (channels ?? new Set()).add(channel))
      return { ok: true, isFirst: subscribers === undefined, isRepeat: false }
    },
    unsubscribe(connectionId, channel) {
      remove(byConnection, connectionId, channel)
      return remove(byChannel, channel, connectionId)
    },
    unsubscribeAll(connectionId) {
      const channels = [...(byConnection.get(connectionId) ?? none)]
      byConnection.delete(connectionId)
      for (const channel of channels) remove(byChannel, channel, connectionId)
      return channels
    },
    has: (connectionId, channel) => byChannel.get(channel)?.has(connectionId) ?? false,
    getSubscribers: (channel) => byChannel.get(channel) ?? none,
    subscriberCount: (channel) => byChannel.get(channel)?.size ?? 0,
    channels: () => byChannel.keys(),
    getChannels: (connectionId) => byConnection.get(connectionId) ?? none,
  }
}
