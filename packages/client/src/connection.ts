import { type Authenticate, decodeFrame } from '@gw/protocol'
import type { Incoming } from './client-events.ts'
import type { WebSocketConstructor, WebSocketLike } from './web-socket-like.ts'

/** How a connection ended; 1006 when the socket just went, or when we gave it up (`reason` says why). */
export interface ConnectionEnd {
  readonly code: number
  readonly reason: string
}

export interface ConnectionOptions {
  readonly url: string
  readonly WebSocket: WebSocketConstructor
  readonly hello: Authenticate
  /** Until Welcome. */
  readonly timeoutMs: number
  readonly now: () => number
  readonly onMessage: (message: Incoming) => void
  /** Once. Nothing comes after it. */
  readonly onEnd: (end: ConnectionEnd) => void
}

/** One socket: says hello, and ends when no Welcome comes, or nothing at all for twice the server's heartbeat. */
export class Connection {
  readonly #options: ConnectionOptions
  readonly #socket: WebSocketLike
  #timer: ReturnType<typeof setTimeout> | undefined
  #heardMs: number
  #silenceMs = 0
  #open = false
  #ended = false

  /** Throws what the WebSocket's constructor throws (a bad URL). */
  constructor(options: ConnectionOptions) {
    this.#options = options
    this.#heardMs = options.now()
    this.#socket = new options.WebSocket(options.url)
    this.#socket.addEventListener('open', () => {
      if (this.#ended) return
      this.#open = true
      this.send(JSON.stringify(options.hello))
    })
    this.#socket.addEventListener('message', ({ data }) => this.#hear(data))
    this.#socket.addEventListener('close', ({ code = 1006, reason = '' }) => this.#end({ code, reason }))
    // Says nothing that the close event after it does not say; without a listener `ws` would throw.
    this.#socket.addEventListener('error', () => {})
    this.#timer = setTimeout(() => this.end('connect_timeout'), options.timeoutMs)
  }

  /** False when there is no open socket. */
  send(frame: string): boolean {
    if (this.#ended || !this.#open) return false
    this.#socket.send(frame)
    return true
  }

  /** Gives the socket up at once, without waiting for the server's part of the closing handshake. */
  end(reason: string, code = 1006): void {
    this.#end({ code, reason })
    // A client may send 1000 or its own codes only (WHATWG WebSockets, close()).
    this.#socket.close(1000, reason)
  }

  #hear(data: unknown): void {
    if (this.#ended || typeof data !== 'string') return
    this.#heardMs = this.#options.now()
    const message = decodeFrame(data)
    if (!message) return
    if (message.type === 'Welcome') this.#watch(message.heartbeatMs ?? 0)
    this.#options.onMessage(message)
  }

  #watch(heartbeatMs: number): void {
    clearTimeout(this.#timer)
    this.#silenceMs = 2 * heartbeatMs
    if (this.#silenceMs > 0) this.#timer = setTimeout(() => this.#check(), this.#silenceMs)
  }

  // One timer for the whole connection instead of one for each message.
  #check(): void {
    const leftMs = this.#heardMs + this.#silenceMs - this.#options.now()
    if (leftMs <= 0) this.end('no_heartbeat')
    else this.#timer = setTimeout(() => this.#check(), leftMs)
  }

  #end(end: ConnectionEnd): void {
    if (this.#ended) return
    this.#ended = true
    clearTimeout(this.#timer)
    this.#options.onEnd(end)
  }
}
