import {
  type Connection,
  createConnectionGroup,
  encodeFrame,
  type Frame,
  type GroupMember,
  type SendOptions,
  type SendResult,
  sendResults,
} from '@gw/connections'
import type { Reset as ResetMessage } from '@gw/protocol'
import type { Audience, ChannelMessage, Position, Reset, Subscriber } from '@gw/pubsub'
import { frameOf } from './channel-frame.ts'
import type { DerivedFrame } from './table-watch.ts'

/** What all sockets of all channels share. */
export interface FanOutHooks {
  /** Called once for each message, before the first socket gets it. */
  readonly onFanOut?: (message: ChannelMessage) => void
  /** What goes out behind a message to each socket that got it; asked once for each message. */
  readonly derivedFrom?: (message: ChannelMessage) => readonly DerivedFrame[]
  readonly onReset?: (channel: string, reason: string) => void
  /** Called for each message, for so many sockets. */
  readonly onSent?: (message: ChannelMessage, result: SendResult, count: number) => void
  /** Called for each other frame, for so many sockets. */
  readonly onSentFrame?: (frame: Frame, result: SendResult, count: number) => void
}

/** What all sockets of one channel share. */
export interface ChannelTraits {
  readonly sendOptions: SendOptions
  readonly hasPosition: boolean
  readonly hooks: FanOutHooks
}

export interface SocketSubscriberOptions {
  readonly connection: Connection
  readonly channel: string
  readonly traits: ChannelTraits
  /** Where live messages reach this socket; undefined: by itself. */
  readonly audience: SocketAudience | undefined
  /** Called for each message before it is sent; false keeps it from this socket. */
  readonly accepts: ((message: ChannelMessage) => boolean) | undefined
  /** Only what waits for the start is asked for; with an audience always. */
  readonly acceptsLive: boolean
  readonly onReset: ((position: Position & { readonly channel: string }) => void) | undefined
}

/** What goes out for a message, made for its first receiver on this instance. */
interface FanOut {
  readonly frame: Frame
  readonly behind: readonly DerivedFrame[]
}

const none: readonly DerivedFrame[] = []

function fanOutOf(message: ChannelMessage, { hooks, hasPosition }: ChannelTraits): FanOut {
  if (message.encoded !== undefined) return message.encoded as FanOut
  hooks.onFanOut?.(message)
  const behind = hooks.derivedFrom?.(message) ?? none
  const fanOut = { frame: frameOf(message, hasPosition), behind }
  message.encoded = fanOut
  return fanOut
}

/** The sockets of one channel that take every live message: one call for all of them. */
export class SocketAudience implements Audience {
  readonly #group = createConnectionGroup()
  readonly #traits: ChannelTraits

  constructor(traits: ChannelTraits) {
    this.#traits = traits
  }

  add(connection: Connection): GroupMember {
    return this.#group.add(connection)
  }

  onMessage(message: ChannelMessage): void {
    const { hooks, sendOptions } = this.#traits
    const { frame, behind } = fanOutOf(message, this.#traits)
    const counts = this.#group.send(frame, sendOptions)
    for (const result of sendResults) if (counts[result] > 0) hooks.onSent?.(message, result, counts[result])
    for (const derived of behind) {
      const others = this.#group.send(derived.frame, derived.options)
      for (const result of sendResults)
        if (others[result] > 0) hooks.onSentFrame?.(derived.frame, result, others[result])
    }
  }
}

/** One socket on one channel. */
export class SocketSubscriber implements Subscriber {
  readonly audience: SocketAudience | undefined
  readonly #connection: Connection
  readonly #channel: string
  readonly #traits: ChannelTraits
  readonly #acceptsLive: boolean
  readonly #onReset: SocketSubscriberOptions['onReset']
  #accepts: SocketSubscriberOptions['accepts']
  #member: GroupMember | undefined

  constructor(options: SocketSubscriberOptions) {
    this.audience = options.audience
    this.#connection = options.connection
    this.#channel = options.channel
    this.#traits = options.traits
    this.#acceptsLive = options.acceptsLive
    this.#onReset = options.onReset
    this.#accepts = options.accepts
  }

  /** What had waited has been sent. */
  started(): void {
    if (!this.#acceptsLive) this.#accepts = undefined
  }

  onEnter(): void {
    this.#member = this.audience?.add(this.#connection)
  }

  onLeave(): void {
    this.#member?.leave()
  }

  onMessage(message: ChannelMessage): void {
    const { frame, behind } = fanOutOf(message, this.#traits)
    if (this.#accepts !== undefined && !this.#accepts(message)) return
    const { hooks, sendOptions } = this.#traits
    hooks.onSent?.(message, this.#connection.send(frame, sendOptions), 1)
    for (const derived of behind) this.#sendFrame(derived.frame, derived.options)
  }

  onReset({ epoch, seq, reason }: Reset): void {
    const channel = this.#channel
    this.#traits.hooks.onReset?.(channel, reason)
    const reset: ResetMessage = { type: 'Reset', channel, epoch, reason }
    this.#sendFrame(encodeFrame(JSON.stringify(reset)))
    this.#onReset?.({ channel, epoch, seq })
  }

  #sendFrame(frame: Frame, options?: SendOptions): void {
    this.#traits.hooks.onSentFrame?.(frame, this.#connection.send(frame, options), 1)
  }
}
