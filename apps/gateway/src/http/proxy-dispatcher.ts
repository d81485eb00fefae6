import { Agent } from 'undici'
import type { BackendTls } from '../backend-tls.ts'

export interface ProxyDispatcherOptions {
  /** To the first byte of an answer, and between two. */
  readonly timeoutMs: number
  readonly tls?: BackendTls
}

/** Connections to HTTP backends: kept alive, connected within 1 s, first byte and idle bounded. */
export function createProxyDispatcher({ timeoutMs, tls = {} }: ProxyDispatcherOptions): Agent {
  const { serverName, ...files } = tls
  return new Agent({
    connections: 128,
    connect: { timeout: 1000, ...files, ...(serverName !== undefined && { servername: serverName }) },
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    maxHeaderSize: 16_384,
  })
}
