import type { SocketEvent, WebSocketConstructor, WebSocketLike } from '@gw/client'

type EventType = 'open' | 'message' | 'close' | 'error'

/** A link that can be cut like a cable: sockets made with its `WebSocket` end without a word, and none opens while it is down. */
export class CuttableLink {
  readonly WebSocket: WebSocketConstructor
  readonly #sockets = new Set<CuttableSocket>()
  #isDown = false

  constructor() {
    const register = (socket: CuttableSocket): boolean => {
      if (this.#isDown) return false
      this.#sockets.add(socket)
      return true
    }
    const forget = (socket: CuttableSocket): void => void this.#sockets.delete(socket)
    this.WebSocket = class extends CuttableSocket {
      constructor(url: string) {
        super(url, { register, forget })
      }
    }
  }

  get isDown(): boolean {
    return this.#isDown
  }

  /** Ends the sockets of the moment; what was on its way is lost. */
  cut(): void {
    for (const socket of this.#sockets) socket.cut()
  }

  /** Cuts, and refuses new sockets until `restore`. */
  hold(): void {
    this.#isDown = true
    this.cut()
  }

  restore(): void {
    this.#isDown = false
  }
}

interface Owner {
  /** False: the link is down. */
  readonly register: (socket: CuttableSocket) => boolean
  readonly forget: (socket: CuttableSocket) => void
}

class CuttableSocket implements WebSocketLike {
  readonly #listeners = new Map<EventType, Set<(event: SocketEvent) => void>>()
  readonly #owner: Owner
  #real: WebSocket | undefined
  #isGone = false

  constructor(url: string, owner: Owner) {
    this.#owner = owner
    if (!owner.register(this)) {
      setTimeout(() => this.cut())
      return
    }
    const real = new WebSocket(url)
    this.#real = real
    real.addEventListener('open', () => this.#tell({ type: 'open' }))
    real.addEventListener('message', ({ data }: MessageEvent<unknown>) =>
      this.#tell({ type: 'message', data }),
    )
    real.addEventListener('close', ({ code, reason }) => this.#end({ type: 'close', code, reason }))
  }

  send(data: string): void {
    if (!this.#isGone) this.#real?.send(data)
  }

  close(code?: number, reason?: string): void {
    this.#real?.close(code, reason)
  }

  addEventListener(type: EventType, listener: (event: SocketEvent) => void): void {
    const listeners = this.#listeners.get(type) ?? new Set()
    this.#listeners.set(type, listeners.add(listener))
  }

  /** From here on nothing is sent and nothing heard; the owner sees 1006, as after a dead cable. */
  cut(): void {
    this.#end({ type: 'close', code: 1006, reason: '' })
    this.#real?.close()
  }

  #end(event: SocketEvent): void {
    this.#tell(event)
    this.#isGone = true
    this.#owner.forget(this)
  }

  #tell(event: SocketEvent): void {
    if (this.#isGone) return
    for (const listener of this.#listeners.get(event.type as EventType) ?? []) listener(event)
  }
}
