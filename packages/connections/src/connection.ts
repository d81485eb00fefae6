/**
 * One socket with bounded queues both ways. Over 300 lines, a third of them its interface: the rest is one state machine
 * whose parts share the state, and which touches as little memory as possible for each frame.
 *
 *   open ──close()──▶ onClosing ▶ flush ▶ close frame ──▶ closing ──answer, or 5 s──▶ closed ▶ onClose
 *     └──the peer closes, or the network is lost──▶ onClosing ──────────────────────▶ closed ▶ onClose
 */
import { checkNumbers, maxTimerMs } from './check-numbers.ts'
import { encodeFrame, type Frame } from './frame.ts'
import { InboundQueue } from './inbound-queue.ts'
import {
  type OutboundLimits,
  OutboundQueue,
  type SendOptions,
  type SendResult,
  toOutboundLimits,
} from './outbound-queue.ts'
import type { SocketLike } from './socket-like.ts'
import { maxDirectBytes, turn, type Writer } from './write-turn.ts'

/** Whose connection it is. */
export interface ConnectionIdentity {
  readonly userId: string
}

/** How a connection ended, and who began it. */
export interface ConnectionClose {
  readonly code: number
  readonly reason: string
  readonly initiator: 'local' | 'peer' | 'network'
}

/** What a connection tells its owner. What the owner's own callbacks throw comes back as an `error`. */
export type ConnectionEvent =
  | {
      readonly type: 'error'
      readonly stage: 'socket' | 'handler' | 'close' | 'write'
      readonly error: unknown
    }
  | { readonly type: 'reading'; readonly paused: boolean }
  | { readonly type: 'too_slow'; readonly bufferedBytes: number }

export interface ConnectionOptions {
  readonly id: string
  readonly socket: SocketLike
  /** Canonical client address, for the registry's cap. */
  readonly remoteAddress?: string
  /** Messages that may wait for the handler before reading stops. Default 64. */
  readonly maxInbound?: number
  /** Their bytes. Default 256 KiB. */
  readonly maxInboundBytes?: number
  /** Bounds of what waits for a slow reader; each has its own default. */
  readonly outbound?: OutboundLimits
  /** Time for the peer to answer a close, in ms; then the socket is ended. Default 5000. */
  readonly closeTimeoutMs?: number
  /** Called in order, one at a time: the next message waits for the promise. */
  readonly onMessage: (data: Buffer, isBinary: boolean) => void | Promise<void>
  /**
   * Called once, as soon as the end begins: leave registry and channels here. When the end is ours the connection still
   * sends, and what is sent here goes out before the close frame.
   */
  readonly onClosing?: (close: ConnectionClose) => void
  /** Called once, when the socket is gone: forget the connection in the store here. */
  readonly onClose: (close: ConnectionClose) => void
  readonly onEvent?: (event: ConnectionEvent) => void
  /** ms since 1970. Default `Date.now`. */
  readonly now?: () => number
}

/** One socket. Every method may be called in every state; after the end they do nothing. */
export interface Connection<Identity extends ConnectionIdentity = ConnectionIdentity> {
  readonly id: string
  /** Set once, when it is known; a second time throws a TypeError. */
  identity: Identity | undefined
  readonly state: 'open' | 'closing' | 'closed'
  readonly openedAtMs: number
  readonly remoteAddress: string | undefined
  /** Round trip of the last ping, in ms. */
  readonly rttMs: number | undefined
  /** Bytes that the network has not taken yet. */
  readonly bufferedBytes: number
  /** Bytes of the peer's messages so far. */
  readonly receivedBytes: number
  /** Bytes of frames handed to the socket so far. */
  readonly sentBytes: number
  /** When the socket last got frames, in whole ms of `performance.now()`; 0 before the first. */
  readonly wroteAtMs: number
  /** Never blocks. All frames of one event-loop turn leave in one write. */
  send(frame: Frame, options?: SendOptions): SendResult
  /** Encodes for this connection alone; to several, send one frame. */
  sendText(text: string, options?: SendOptions): SendResult
  /** A protocol ping; `isAlive` turns false until anything comes back. */
  ping(): void
  /** False while a ping is unanswered. True while we don't read: an answer could not be seen. */
  readonly isAlive: boolean
  /** Flushes, then the closing handshake. Idempotent: the first call counts. */
  close(code: number, reason: string): void
  /** Ends the socket now, e.g. when the peer is dead. */
  terminate(): void
}

/** Close code and reason of a socket that reads too slowly: retryable, elsewhere or later. */
export const tooSlow: Readonly<{ code: number; reason: string }> = { code: 4008, reason: 'too_slow' }

/** Starts to listen on `socket`. Throws `invalid` for bounds and times that cannot work. */
export function createConnection<Identity extends ConnectionIdentity = ConnectionIdentity>(
  options: ConnectionOptions,
): Connection<Identity> {
  const { maxInbound, maxInboundBytes, closeTimeoutMs } = options
  // Before anything is opened: a slot of the turn would never come back.
  checkNumbers({ maxInbound, maxInboundBytes })
  checkNumbers({ closeTimeoutMs }, { least: 0, most: maxTimerMs })
  return new SocketConnection<Identity>(options, toOutboundLimits(options.outbound))
}

/**
 * The slot of a connection in the turn's arrays, which it keeps until `releaseSlot`. Undefined when it is closed. Throws a
 * TypeError for what `createConnection` didn't make.
 */
export function holdSlot(connection: Connection): number | undefined {
  return SocketConnection.of(connection).holdSlot()
}

export function releaseSlot(connection: Connection): void {
  SocketConnection.of(connection).releaseSlot()
}

const plain: SendOptions = {}

class SocketConnection<Identity extends ConnectionIdentity> implements Connection<Identity>, Writer {
  // What a frame touches of a connection that doesn't keep up; that of the others is in the turn's arrays.
  readonly #slot = turn.open(this)
  #state: 'open' | 'closing' | 'closed' = 'open'
  /** What waits for the socket to drain. */
  #held: OutboundQueue | undefined
  // As of the last write; 0 after a drain.
  #behindBytes = 0
  readonly #socket: SocketLike
  readonly #limits: Required<OutboundLimits>
  /** Groups that know the slot. */
  #holds = 0
  /** As they were at the end. */
  #written: { readonly bytes: number; readonly atMs: number } | undefined

  readonly id: string
  readonly openedAtMs: number
  readonly #options: ConnectionOptions
  readonly #inbound: InboundQueue
  #receivedBytes = 0
  #identity: Identity | undefined
  #end: ConnectionClose | undefined
  #isReading = true
  #isAlive = true
  #pingedAtMs: number | undefined
  #rttMs: number | undefined
  #drainTimer: NodeJS.Timeout | undefined
  #closeTimer: NodeJS.Timeout | undefined

  static of(connection: Connection): SocketConnection<ConnectionIdentity> {
    if (connection instanceof SocketConnection) return connection
    throw new TypeError('A connection of createConnection is needed')
  }

  constructor(options: ConnectionOptions, limits: Required<OutboundLimits>) {
    const { socket, maxInbound = 64, maxInboundBytes = 262_144 } = options
    this.id = options.id
    this.openedAtMs = (options.now ?? Date.now)()
    this.#options = options
    this.#socket = socket
    this.#limits = limits
    this.#inbound = new InboundQueue({
      maxMessages: maxInbound,
      maxBytes: maxInboundBytes,
      handle: ({ data, isBinary }) => options.onMessage(data, isBinary),
      onPressure: (state) => this.#setReading(state === 'ready'),
      onError: (error) => options.onEvent?.({ type: 'error', stage: 'handler', error }),
    })
    socket.listen({
      onMessage: (data, isBinary) => {
        this.#isAlive = true
        this.#receivedBytes += data.length
        if (this.#state === 'open') this.#inbound.push({ data, isBinary })
      },
      onPong: () => this.#ponged(),
      onDrain: () => this.#drained(),
      onDetour: () => {
        if (this.#state === 'open') turn.setDirect(this.#slot, undefined)
      },
      onError: (error) => options.onEvent?.({ type: 'error', stage: 'socket', error }),
      onClose: (code, reason) => this.#closed(code, reason),
    })
  }

  get identity(): Identity | undefined {
    return this.#identity
  }

  set identity(identity: Identity | undefined) {
    if (this.#identity !== undefined) throw new TypeError('The identity of a connection is set once')
    this.#identity = identity
  }

  get state(): 'open' | 'closing' | 'closed' {
    return this.#state
  }

  get remoteAddress(): string | undefined {
    return this.#options.remoteAddress
  }

  get rttMs(): number | undefined {
    return this.#rttMs
  }

  get isAlive(): boolean {
    return this.#isAlive || !this.#isReading
  }

  get bufferedBytes(): number {
    return this.#turnBytes + (this.#held?.bytes ?? 0) + this.#socket.bufferedBytes
  }

  get receivedBytes(): number {
    return this.#receivedBytes
  }

  get sentBytes(): number {
    return this.#written?.bytes ?? turn.sentBytes(this.#slot)
  }

  get wroteAtMs(): number {
    return this.#written?.atMs ?? turn.wroteAtMs(this.#slot)
  }

  send(frame: Frame, options: SendOptions = plain): SendResult {
    if (this.#state !== 'open') return 'closed'
    const waiting = this.#behindBytes === 0 ? 0 : this.#socket.bufferedBytes
    const bytes = waiting + turn.bytes(this.#slot) + frame.length
    if (this.#held !== undefined || bytes > this.#limits.softBytes)
      return this.#sendUnderPressure(frame, options)
    turn.add(this.#slot, frame)
    return 'sent'
  }

  sendText(text: string, options?: SendOptions): SendResult {
    return this.#state === 'open' ? this.send(encodeFrame(text), options) : 'closed'
  }

  ping(): void {
    if (this.#state !== 'open') return
    this.#isAlive = false
    this.#pingedAtMs = (this.#options.now ?? Date.now)()
    this.#socket.ping()
  }

  close(code: number, reason: string): void {
    if (this.#state !== 'open' || !this.#begin({ code, reason, initiator: 'local' })) return
    this.#flush()
    if (this.#held !== undefined) this.write(join(this.#held.take()))
    this.#held = undefined
    this.#stopSending()
    clearTimeout(this.#drainTimer)
    this.#inbound.close()
    // The peer's answer must be read, also when its messages no longer were.
    this.#socket.resume()
    this.#closeTimer = setTimeout(() => this.#socket.terminate(), this.#options.closeTimeoutMs ?? 5000)
    this.#socket.close(code, reason)
  }

  terminate(): void {
    if (this.#state === 'closed') return
    if (this.#begin({ code: 1006, reason: '', initiator: 'local' })) this.#stopSending()
    this.#socket.terminate()
  }

  write(bytes: Buffer): void {
    this.#write(bytes, false)
  }

  settle(bytes: Buffer): void {
    this.#write(bytes, true)
  }

  fail(error: unknown): void {
    this.#options.onEvent?.({ type: 'error', stage: 'write', error })
    this.terminate()
  }

  holdSlot(): number | undefined {
    if (this.#state === 'closed') return undefined
    this.#holds++
    return this.#slot
  }

  releaseSlot(): void {
    this.#holds--
    if (this.#holds === 0 && this.#state === 'closed') turn.close(this.#slot)
  }

  get #turnBytes(): number {
    return this.#state === 'closed' ? 0 : turn.bytes(this.#slot)
  }

  /** Hands this turn's frames to the socket now. */
  #flush(): void {
    const bytes = this.#state === 'open' ? turn.take(this.#slot) : undefined
    if (bytes !== undefined) this.write(bytes)
  }

  #stopSending(): void {
    if (this.#state !== 'open') return
    this.#state = 'closing'
    turn.setDirect(this.#slot, undefined)
  }

  #write(bytes: Buffer, isBegun: boolean): void {
    if (this.#state !== 'open') return
    const socket = this.#socket
    try {
      this.#behindBytes = isBegun ? (socket.direct?.settle(bytes) ?? 0) : socket.write(bytes)
    } catch (error) {
      this.fail(error)
      return
    }
    turn.count(this.#slot, bytes.length)
    const { softBytes } = this.#limits
    if (this.#behindBytes > softBytes) this.#watchDrain()
    const isEasy = this.#behindBytes === 0 && this.#held === undefined && softBytes >= maxDirectBytes
    turn.setDirect(this.#slot, isEasy ? socket.direct : undefined)
  }

  #sendUnderPressure(frame: Frame, { kind = 'event', key }: SendOptions): SendResult {
    this.#flush()
    const { softBytes, hardBytes } = this.#limits
    const waiting = this.#socket.bufferedBytes
    // The turn's frames may have been all that waited; and an idle socket takes a frame of any size.
    if (this.#held === undefined && (waiting === 0 || waiting + frame.length <= softBytes)) {
      turn.add(this.#slot, frame)
      return 'sent'
    }
    if (kind === 'ephemeral') return 'dropped'
    this.#held ??= new OutboundQueue()
    turn.setDirect(this.#slot, undefined)
    const conflated = this.#held.add(frame, kind === 'state' ? key : undefined)
    if (this.bufferedBytes > hardBytes) {
      this.#closeTooSlow()
      return 'closed'
    }
    this.#watchDrain()
    return conflated ? 'conflated' : 'queued'
  }

  #watchDrain(): void {
    if (this.#state === 'open')
      this.#drainTimer ??= setTimeout(() => this.#closeTooSlow(), this.#limits.drainTimeoutMs)
  }

  #drained(): void {
    clearTimeout(this.#drainTimer)
    this.#drainTimer = undefined
    // In portions: what stays here can still be conflated.
    while (this.#state === 'open' && this.#held !== undefined && this.#socket.bufferedBytes === 0) {
      const frames = this.#held.take(this.#limits.softBytes)
      if (this.#held.isEmpty) this.#held = undefined
      this.write(join(frames))
    }
    this.#behindBytes = this.#socket.bufferedBytes
    if (this.#held !== undefined) this.#watchDrain()
  }

  #closeTooSlow(): void {
    if (this.#state !== 'open') return
    this.#options.onEvent?.({ type: 'too_slow', bufferedBytes: this.bufferedBytes })
    // What waits is not sent any more: it would only keep the close frame from the peer.
    turn.clear(this.#slot)
    this.#held = undefined
    this.close(tooSlow.code, tooSlow.reason)
  }

  #setReading(reading: boolean): void {
    if (this.#state !== 'open') return
    this.#isReading = reading
    if (reading) {
      // Its answer to a ping may be among what was not read.
      this.#isAlive = true
      this.#socket.resume()
    } else this.#socket.pause()
    this.#options.onEvent?.({ type: 'reading', paused: !reading })
  }

  #ponged(): void {
    this.#isAlive = true
    if (this.#pingedAtMs === undefined) return
    this.#rttMs = Math.max(0, (this.#options.now ?? Date.now)() - this.#pingedAtMs)
    this.#pingedAtMs = undefined
  }

  /** The one beginning of the end; false when it has begun before. */
  #begin(end: ConnectionClose): boolean {
    if (this.#end !== undefined) return false
    this.#end = end
    this.#guard(() => this.#options.onClosing?.(end))
    return true
  }

  #closed(code: number, reason: string): void {
    if (this.#state === 'closed') return
    // Before the owner hears of it: to a socket that is gone nothing can be sent.
    this.#state = 'closed'
    this.#written = { bytes: turn.sentBytes(this.#slot), atMs: turn.wroteAtMs(this.#slot) }
    turn.clear(this.#slot)
    turn.setDirect(this.#slot, undefined)
    if (this.#holds === 0) turn.close(this.#slot)
    this.#held = undefined
    clearTimeout(this.#drainTimer)
    clearTimeout(this.#closeTimer)
    this.#inbound.close()
    this.#begin({ code, reason, initiator: code === 1006 ? 'network' : 'peer' })
    const initiator = this.#end?.initiator ?? 'network'
    this.#guard(() => this.#options.onClose({ code, reason, initiator }))
  }

  #guard(call: () => void): void {
    try {
      call()
    } catch (error) {
      this.#options.onEvent?.({ type: 'error', stage: 'close', error })
    }
  }
}

function join(frames: readonly Frame[]): Buffer {
  const [first] = frames
  return frames.length === 1 && first !== undefined ? first : Buffer.concat(frames)
}
