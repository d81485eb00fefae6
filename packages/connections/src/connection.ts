import type { Frame } from './frame.ts'
import { encodeFrame } from './frame.ts'
import { InboundQueue } from './inbound-queue.ts'
import {
  defaultOutboundLimits,
  type OutboundLimits,
  OutboundQueue,
  type SendOptions,
  type SendResult,
} from './outbound-queue.ts'
import type { SocketLike } from './socket-like.ts'

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

/** What a connection tells its owner. */
export type ConnectionEvent =
  | { readonly type: 'error'; readonly stage: 'socket' | 'handler'; readonly error: unknown }
  | { readonly type: 'reading'; readonly paused: boolean }
  | { readonly type: 'too_slow'; readonly bufferedBytes: number }

export interface ConnectionOptions {
  readonly id: string
  readonly socket: SocketLike
  /** Messages that may wait for the handler before reading stops. Default 64. */
  readonly maxInbound?: number
  /** Their bytes. Default 256 KiB. */
  readonly maxInboundBytes?: number
  readonly outbound?: OutboundLimits
  /** Time for the peer to answer a close, in ms; then the socket is ended. Default 5000. */
  readonly closeTimeoutMs?: number
  /** Called in order, one at a time: the next message waits for the promise. */
  readonly onMessage: (data: Buffer, isBinary: boolean) => void | Promise<void>
  /** Called once, when the socket is gone. */
  readonly onClose: (close: ConnectionClose) => void
  readonly onEvent?: (event: ConnectionEvent) => void
}

/** One socket with bounded queues both ways. */
export interface Connection {
  readonly id: string
  /** Set once, when it is known. */
  identity: ConnectionIdentity | undefined
  readonly state: 'open' | 'closing' | 'closed'
  /** Of the last ping, in ms. */
  readonly rttMs: number | undefined
  /** Not yet on the wire. */
  readonly bufferedBytes: number
  /** Never blocks. All frames of one event-loop turn leave in one write. */
  send(frame: Frame, options?: SendOptions): SendResult
  sendText(text: string): SendResult
  /** Sends a protocol ping; `isAlive` turns false until the pong. */
  ping(): void
  /** Whether the last ping was answered. */
  readonly isAlive: boolean
  /** Flushes, then the closing handshake. Idempotent: the first call counts. */
  close(code: number, reason: string): void
  /** Ends the socket now, e.g. when the peer is dead. */
  terminate(): void
}

/** Close code and reason of a socket that reads too slowly: retryable, elsewhere or later. */
export const tooSlow: Readonly<{ code: number; reason: string }> = { code: 4008, reason: 'too_slow' }

/** Starts to listen on `socket`. */
export function createConnection(options: ConnectionOptions): Connection {
  return new SocketConnection(options)
}

// Frames of one turn leave together: one list for all connections, one timer for the list.
let dirty: SocketConnection[] = []

function flushDirty(): void {
  const connections = dirty
  dirty = []
  for (const connection of connections) connection.flush()
}

class SocketConnection implements Connection {
  readonly id: string
  readonly #options: ConnectionOptions
  readonly #socket: SocketLike
  readonly #limits: OutboundLimits
  readonly #inbound: InboundQueue
  readonly #outbound = new OutboundQueue()
  #identity: ConnectionIdentity | undefined
  #state: 'open' | 'closing' | 'closed' = 'open'
  #isDirty = false
  #initiator: ConnectionClose['initiator'] = 'network'
  #pingedAt: number | undefined
  #rttMs: number | undefined
  #drainTimer: NodeJS.Timeout | undefined
  #closeTimer: NodeJS.Timeout | undefined

  constructor(options: ConnectionOptions) {
    const {
      id,
      socket,
      maxInbound = 64,
      maxInboundBytes = 262_144,
      outbound = defaultOutboundLimits,
    } = options
    this.id = id
    this.#options = options
    this.#socket = socket
    this.#limits = outbound
    this.#inbound = new InboundQueue({
      maxMessages: maxInbound,
      maxBytes: maxInboundBytes,
      handle: ({ data, isBinary }) => options.onMessage(data, isBinary),
      onPressure: (state) => this.#setReading(state === 'ready'),
      onError: (error) => options.onEvent?.({ type: 'error', stage: 'handler', error }),
    })
    socket.listen({
      onMessage: (data, isBinary) => {
        if (this.#state === 'open') this.#inbound.push({ data, isBinary })
      },
      onPong: () => this.#ponged(),
      onDrain: () => this.#drained(),
      onError: (error) => options.onEvent?.({ type: 'error', stage: 'socket', error }),
      onClose: (code, reason) => this.#closed(code, reason),
    })
  }

  get identity(): ConnectionIdentity | undefined {
    return this.#identity
  }

  set identity(identity: ConnectionIdentity | undefined) {
    if (this.#identity !== undefined) throw new TypeError('The identity of a connection is set once')
    this.#identity = identity
  }

  get state(): 'open' | 'closing' | 'closed' {
    return this.#state
  }

  get rttMs(): number | undefined {
    return this.#rttMs
  }

  get isAlive(): boolean {
    return this.#pingedAt === undefined
  }

  get bufferedBytes(): number {
    return this.#outbound.bytes + this.#socket.bufferedBytes
  }

  send(frame: Frame, { kind = 'event', key }: SendOptions = {}): SendResult {
    if (this.#state !== 'open') return 'closed'
    const total = this.bufferedBytes + frame.length
    if (total <= this.#limits.softBytes && !this.#outbound.isHolding) {
      this.#outbound.addToTurn(frame)
      this.#markDirty()
      return 'sent'
    }
    return this.#sendUnderPressure(frame, kind, key)
  }

  sendText(text: string): SendResult {
    return this.send(encodeFrame(text))
  }

  ping(): void {
    if (this.#state !== 'open') return
    this.#pingedAt ??= performance.now()
    this.#socket.ping()
  }

  close(code: number, reason: string): void {
    if (this.#state !== 'open') return
    this.flush()
    this.#state = 'closing'
    this.#initiator = 'local'
    this.#inbound.close()
    this.#socket.resume()
    this.#closeTimer = setTimeout(() => this.terminate(), this.#options.closeTimeoutMs ?? 5000)
    this.#socket.close(code, reason)
  }

  terminate(): void {
    if (this.#state === 'closed') return
    if (this.#state === 'open') this.#initiator = 'local'
    this.#state = 'closing'
    this.#socket.terminate()
  }

  /** Hands this turn's frames to the socket. */
  flush(): void {
    this.#isDirty = false
    const frames = this.#outbound.takeTurn()
    if (frames.length > 0 && this.#state === 'open') this.#socket.write(frames)
  }

  #markDirty(): void {
    if (this.#isDirty) return
    this.#isDirty = true
    if (dirty.push(this) === 1) setImmediate(flushDirty)
  }

  #sendUnderPressure(
    frame: Frame,
    kind: 'event' | 'state' | 'ephemeral',
    key: string | undefined,
  ): SendResult {
    if (kind === 'ephemeral') return 'dropped'
    this.flush()
    const conflated = this.#outbound.hold(frame, kind === 'state' ? key : undefined)
    const { bufferedBytes } = this
    if (bufferedBytes > this.#limits.hardBytes) {
      this.#tooSlow(bufferedBytes)
      return 'closed'
    }
    this.#drainTimer ??= setTimeout(() => this.#tooSlow(this.bufferedBytes), this.#limits.drainTimeoutMs)
    return conflated ? 'conflated' : 'queued'
  }

  #drained(): void {
    if (!this.#outbound.isHolding || this.#state !== 'open') return
    clearTimeout(this.#drainTimer)
    this.#drainTimer = undefined
    this.#socket.write(this.#outbound.takeHeld())
  }

  #tooSlow(bufferedBytes: number): void {
    if (this.#state !== 'open') return
    this.#options.onEvent?.({ type: 'too_slow', bufferedBytes })
    // What waits is not worth sending: a peer that doesn't read would keep it for ever.
    this.#outbound.takeTurn()
    this.#outbound.takeHeld()
    this.close(tooSlow.code, tooSlow.reason)
  }

  #setReading(reading: boolean): void {
    if (this.#state !== 'open') return
    if (reading) this.#socket.resume()
    else this.#socket.pause()
    this.#options.onEvent?.({ type: 'reading', paused: !reading })
  }

  #ponged(): void {
    if (this.#pingedAt === undefined) return
    this.#rttMs = performance.now() - this.#pingedAt
    this.#pingedAt = undefined
  }

  #closed(code: number, reason: string): void {
    if (this.#state === 'closed') return
    const initiator = this.#state === 'closing' ? this.#initiator : code === 1006 ? 'network' : 'peer'
    this.#state = 'closed'
    clearTimeout(this.#drainTimer)
    clearTimeout(this.#closeTimer)
    this.#inbound.close()
    this.#outbound.takeTurn()
    this.#outbound.takeHeld()
    this.#options.onClose({ code, reason, initiator })
  }
}
