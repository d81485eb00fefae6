/** Sockets of the `ws` library. */
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { createDirectWriter, type DirectWriter } from './direct-writer.ts'
import type { DirectWay, SocketEvents, SocketLike } from './socket-like.ts'

/** The socket below, which `ws` doesn't offer: a frame that was built once is written to it as it is. */
interface RawSocket {
  readonly _socket: Duplex | null
}

const open = 1
const nothing: Buffer = Buffer.alloc(0)
/** Unmasked and without a payload, as `ws` builds it too (RFC 6455 §5.5.2). */
const pingFrame: Buffer = Buffer.from([0x89, 0])

/**
 * Pings, and pongs that nobody asked for, that a peer may send in `controlWindowMs`: a client pings every few seconds at most,
 * each one costs as much as a message, and no limit of messages sees it. More end the socket.
 */
const maxControls = 100
const controlWindowMs = 10_000

export interface FromWebSocketOptions {
  /** Write past Node's stream where that is possible (plain TCP). Default true. */
  readonly direct?: boolean
}

/**
 * Adapts a server-side `WebSocket` without compression. Prebuilt frames are written straight to the socket below; `ws`
 * keeps the parsing, the pings and the closing handshake. Throws a TypeError for a socket that isn't open or compresses.
 */
export function fromWebSocket(socket: WebSocket, { direct = true }: FromWebSocketOptions = {}): SocketLike {
  const raw = (socket as unknown as RawSocket)._socket
  if (raw === null || socket.extensions !== '')
    throw new TypeError('An open WebSocket without extensions is needed')
  socket.binaryType = 'nodebuffer'
  // Always listened to: a malformed frame must never end the process, not even before `listen`.
  socket.on('error', () => {})
  return new WsSocket(socket, raw, direct)
}

class WsSocket implements SocketLike {
  readonly #writer: DirectWriter | undefined
  #isEnding = false
  /** Pongs that our pings asked for. */
  #owed = 0
  #controls = 0
  #controlsSinceMs = Number.NEGATIVE_INFINITY
  /** The stream has bytes, and `onDrain` is owed. */
  #isBehind = false
  readonly #socket: WebSocket
  readonly #raw: Duplex
  #events: SocketEvents | undefined

  constructor(socket: WebSocket, raw: Duplex, direct: boolean) {
    this.#socket = socket
    this.#raw = raw
    this.#writer = direct
      ? createDirectWriter(raw, { onDrain: () => this.#drained(), onEnd: () => this.#end() })
      : undefined
    // Answered by `ws` itself, on the stream.
    socket.on('ping', () => {
      this.#strangerWrote()
      this.#countControl()
    })
    socket.on('pong', () => {
      if (this.#owed > 0) this.#owed -= 1
      else this.#countControl()
    })
    // Called by `ws` too when the peer closes; nothing else tells, and asking `readyState` for each write costs more than it seems.
    const close = socket.close.bind(socket)
    socket.close = (code, reason) => {
      this.#end()
      close(code, reason)
    }
  }

  listen(events: SocketEvents): void {
    const socket = this.#socket
    this.#events = events
    socket.on('message', (data, isBinary) => {
      if (Buffer.isBuffer(data)) events.onMessage(data, isBinary)
    })
    socket.on('pong', () => events.onPong())
    socket.on('error', (error) => events.onError(error))
    socket.on('close', (code, reason) => events.onClose(code, reason.toString()))
  }

  get direct(): DirectWay | undefined {
    return this.#writer?.isFirst === true && !this.#isEnding ? this.#writer : undefined
  }

  write(frames: Buffer): number {
    if (this.#isEnding) return this.bufferedBytes
    const writer = this.#writer
    if (writer?.tryWrite(frames) === true) return writer.pendingBytes
    if (this.#socket.readyState !== open) return this.bufferedBytes
    this.#raw.write(frames, this.#written)
    this.#detour()
    const { bufferedBytes } = this
    this.#isBehind = bufferedBytes > 0
    return bufferedBytes
  }

  ping(): void {
    this.#owed += 1
    const writer = this.#writer
    if (writer?.isFirst === true && !this.#isEnding) {
      writer.tryWrite(pingFrame)
      // Libuv holds it back: nothing may pass it.
      if (writer.pendingBytes > 0) this.#events?.onDetour()
    } else if (this.#socket.readyState === open) {
      this.#socket.ping()
      this.#strangerWrote()
    }
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason)
  }

  terminate(): void {
    this.#socket.terminate()
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  get bufferedBytes(): number {
    return this.#raw.writableLength + (this.#writer?.pendingBytes ?? 0)
  }

  #countControl(): void {
    const now = performance.now()
    if (now - this.#controlsSinceMs >= controlWindowMs) {
      this.#controls = 0
      this.#controlsSinceMs = now
    }
    this.#controls += 1
    if (this.#controls > maxControls) this.terminate()
  }

  #end(): void {
    this.#isEnding = true
    this.#events?.onDetour()
  }

  /** Something went through the stream, which nothing may pass. */
  #detour(): void {
    this.#writer?.waitForStream()
    this.#events?.onDetour()
  }

  /** `ws` wrote to the stream, and nobody is told when that is through: an empty write of our own behind it is. */
  #strangerWrote(): void {
    this.#detour()
    if (this.bufferedBytes === 0 || this.#socket.readyState !== open) return
    this.#isBehind = true
    this.#raw.write(nothing, this.#written)
  }

  // Not the stream's own `drain`: that one stays silent below its high-water mark.
  readonly #written = (): void => {
    if (this.#isBehind) this.#drained()
  }

  #drained(): void {
    if (this.bufferedBytes > 0) return
    this.#isBehind = false
    this.#events?.onDrain()
  }
}
