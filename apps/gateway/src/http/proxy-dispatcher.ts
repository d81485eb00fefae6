import { Agent } from 'undici'
import type { BackendTls } from '../backend-tls.ts'
import { createReadSlabs, type ReadSlabs } from './read-slabs.ts'

export interface ProxyDispatcherOptions {
  /** To the first byte of an answer, and between two. */
  readonly timeoutMs: number
  readonly tls?: BackendTls
}

/** Connections to HTTP backends: kept alive, connected within 1 s, first byte and idle bounded. */
export class ProxyDispatcher extends Agent {
  readonly #slabs: ReadSlabs

  constructor({ timeoutMs, tls = {} }: ProxyDispatcherOptions) {
    const { serverName, ...files } = tls
    const slabs = createReadSlabs()
    super({
      connections: 128,
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
