import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** `up` is from the client to the target. */
export type LinkDirection = 'up' | 'down' | 'both'

/** A TCP proxy in front of a server, as a network that a test can break. */
export interface TestLink extends AsyncDisposable {
  /** The target's URL with this link's port. */
  readonly url: string
  readonly port: number
  /** Connections open through it now. */
  readonly connections: number
  /** Ends all connections with a reset and refuses new ones until `restore`. */
  cut(): void
  /** Ends all connections with a reset; new ones get through. */
  drop(): void
  /** Holds every byte back for so many ms, in both directions, in order; 0 ends it. */
  delay(ms: number): void
  /** Connections stay open (and are accepted) but no byte passes until `restore`; then what was held arrives. */
  blackhole(direction?: LinkDirection): void
  /** Everything works again. */
  restore(): void
  close(): Promise<void>
}

export interface TestLinkOptions {
  /** `redis://host:port`, `http://host:port`, `ws://host:port/path`. */
  readonly target: string
}

interface LinkState {
  cut: boolean
  delayMs: number
  held: LinkDirection | undefined
  readonly wake: Set<() => void>
}

interface Wire {
  readonly from: Socket
  readonly to: Socket
  readonly direction: 'up' | 'down'
}

/** Carries bytes one way; chunks wait for their time and for the link, and the source waits for the chunks. */
function carry({ from, to, direction }: Wire, link: LinkState): () => void {
  const queue: { chunk: Buffer; at: number }[] = []
  let ended = false
  let timer: NodeJS.Timeout | undefined
  let isFull = false
  const drained = (): void => {
    isFull = false
    pump()
  }
  const pump = (): void => {
    clearTimeout(timer)
    if (isFull) return
    for (let head = queue[0]; head !== undefined; head = queue[0]) {
      if (link.held === 'both' || link.held === direction) return
      const early = head.at - performance.now()
      if (early > 0) {
        timer = setTimeout(pump, Math.ceil(early))
        return
      }
      queue.shift()
      if (!to.write(head.chunk)) {
        isFull = true
        to.once('drain', drained)
        return
      }
    }
    if (ended) to.end()
    else from.resume()
  }
  from.on('data', (chunk: Buffer) => {
    queue.push({ chunk, at: performance.now() + link.delayMs })
    if (queue.length > 256) from.pause()
    pump()
  })
  from.on('end', () => {
    ended = true
    pump()
  })
  return () => {
    if (queue.length > 0 || ended) pump()
  }
}

/** Starts a link on a free port of 127.0.0.1. */
export async function createLink(options: TestLinkOptions): Promise<TestLink> {
  const target = new URL(options.target)
  const state: LinkState = { cut: false, delayMs: 0, held: undefined, wake: new Set() }
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (client) => {
    if (state.cut) {
      client.resetAndDestroy()
      return
    }
    const upstream = connect({ host: target.hostname, port: Number(target.port), allowHalfOpen: true })
    upstream.setNoDelay(true)
    client.setNoDelay(true)
    const wakes = [
      carry({ from: client, to: upstream, direction: 'up' }, state),
      carry({ from: upstream, to: client, direction: 'down' }, state),
    ]
    for (const wake of wakes) state.wake.add(wake)
    sockets.add(client)
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      socket.on('error', () => other.destroy())
      socket.on('close', () => {
        for (const wake of wakes) state.wake.delete(wake)
        sockets.delete(client)
        other.destroy()
      })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = address !== null && typeof address === 'object' ? address.port : 0
  const url = new URL(options.target)
  url.hostname = '127.0.0.1'
  url.port = String(port)

  const drop = (): void => {
    for (const socket of sockets) socket.resetAndDestroy()
  }
  const pumpAll = (): void => {
    for (const wake of state.wake) wake()
  }
  const close = async (): Promise<void> => {
    drop()
    if (!server.listening) return
    server.close()
    await once(server, 'close')
  }
  return {
    url: url.href,
    port,
    get connections() {
      return sockets.size
    },
    cut() {
      state.cut = true
      drop()
    },
    drop,
    delay(ms) {
      state.delayMs = ms
    },
    blackhole(direction = 'both') {
      state.held = direction
    },
    restore() {
      state.cut = false
      state.delayMs = 0
      state.held = undefined
      pumpAll()
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}
