import { type Connection, encodeFrame, type Frame, type SendOptions, type SendResult } from '@gw/connections'
import type { Reset as ResetMessage } from '@gw/protocol'
import type { ChannelMessage, Position, Reset, Subscriber } from '@gw/pubsub'
import { frameOf } from './channel-frame.ts'
import type { DerivedFrame } from './table-watch.ts'

/** What all sockets of all channels share. */
export interface FanOutHooks {
  /** Called once for each message, before the first socket gets it. */
  readonly onFanOut?: (message: ChannelMessage) => void
  /** What goes out behind a message to each socket that got it; asked once for each message. */
  readonly derivedFrom?: (message: ChannelMessage) => readonly DerivedFrame[]
  readonly onReset?: (channel: string, reason: string) => void
  /** Called for each message to each socket. */
  readonly onSent?: (message: ChannelMessage, result: SendResult) => void
  /** Called for each other frame to each socket. */
  readonly onSentFrame?: (frame: Frame, result: SendResult) => void
}

export interface SocketSubscriberOptions {
  readonly connection: Connection
  readonly channel: string
  readonly sendOptions: SendOptions
  readonly hooks: FanOutHooks
  /** Called for each message before it is sent; false keeps it from this socket. */
  readonly accepts: ((message: ChannelMessage) => boolean) | undefined
  /** Only what waits for the start is asked for. */
  readonly acceptsLive: boolean
  readonly hasPosition: boolean
  readonly onReset: ((position: Position & { readonly channel: string }) => void) | undefined
}

/** What goes out for a message, made for its first receiver on this instance. */
interface FanOut {
  readonly frame: Frame
  readonly behind: readonly DerivedFrame[]
}

const none: readonly DerivedFrame[] = []

/**
 * One socket on one channel. A message touches one of these for each of thousands of sockets: an object of few fields
 * instead of closures, for the sake of the processor's cache.
 */
export class SocketSubscriber implements Subscriber {
  readonly #connection: Connection
  readonly #sendOptions: SendOptions
  readonly #hooks: FanOutHooks
  #accepts: ((message: ChannelMessage) => boolean) | undefined
  readonly #options: SocketSubscriberOptions

  constructor(options: SocketSubscriberOptions) {
    this.#connection = options.connection
    this.#sendOptions = options.sendOptions
    this.#hooks = options.hooks
    this.#accepts = options.accepts
    this.#options = options
  }

  /** What had waited has been sent. */
  started(): void {
    if (!this.#options.acceptsLive) this.#accepts = undefined
  }

  onMessage(message: ChannelMessage): void {
    const fanOut = message.encoded === undefined ? this.#prepare(message) : (message.encoded as FanOut)
    if (this.#accepts !== undefined && !this.#accepts(message)) return
    const result = this.#connection.send(fanOut.frame, this.#sendOptions)
    this.#hooks.onSent?.(message, result)
    if (fanOut.behind === none) return
    for (const { frame, options } of fanOut.behind) this.#sendFrame(frame, options)
  }

  onReset({ epoch, seq, reason }: Reset): void {
    const { channel, hooks, onReset } = this.#options
    hooks.onReset?.(channel, reason)
    const reset: ResetMessage = { type: 'Reset', channel, epoch, reason }
    this.#sendFrame(encodeFrame(JSON.stringify(reset)))
    onReset?.({ channel, epoch, seq })
  }

  #sendFrame(frame: Frame, options?: SendOptions): void {
    this.#hooks.onSentFrame?.(frame, this.#connection.send(frame, options))
  }

  #prepare(message: ChannelMessage): FanOut {
    const { hooks, hasPosition } = this.#options
    hooks.onFanOut?.(message)
    const behind = hooks.derivedFrom?.(message) ?? none
    const fanOut = { frame: frameOf(message, hasPosition), behind: behind.length === 0 ? none : behind }
    message.encoded = fanOut
    return fanOut
  }
}
