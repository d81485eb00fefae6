import { Agent } from 'undici'
import type { BackendTls } from '../backend-tls.ts'
import { createReadSlabs, type ReadSlabs } from './read-slabs.ts'

export interface ProxyDispatcherOptions {
  /** To the first byte of an answer, and between two. */
  readonly timeoutMs: number
  readonly tls?: BackendTls
}

/** To one origin, at once: what a guard lets through beyond them would wait in a queue. */
export const mostConnections = 128

/** HTTP/1.1 connections to backends: kept alive, connected within 1 s, first byte and idle bounded. */
export class ProxyDispatcher extends Agent {
  readonly #slabs: ReadSlabs

  constructor({ timeoutMs, tls = {} }: ProxyDispatcherOptions) {
    const { serverName, ...files } = tls
    const slabs = createReadSlabs()
    super({
      connections: mostConnections,
      // Over HTTP/2 undici resets no stream whose request's body breaks off: a few such, and the origin takes no more.
      allowH2: false,
      connect: {
        timeout: 1000,
        onread: slabs.onread,
        ...files,
        ...(serverName !== undefined && { servername: serverName }),
      },
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      maxHeaderSize: 16_384,
    })
    this.#slabs = slabs
  }

  /** The client has this chunk of an answer, and all before it: its memory may be used again. */
  release(chunk: Uint8Array): void {
    this.#slabs.giveBack(chunk)
  }
}
