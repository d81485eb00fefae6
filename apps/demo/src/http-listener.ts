import { type AddressInfo } from 'node:net'
import { createServer } from 'node:http'
import type { Express } from 'express'

/** A listening HTTP server. `stop` ends open connections after 300 ms. */
export interface HttpListener {
  readonly port: number
  readonly stop: () => Promise<void>
}

/** Listens on host and port (0 picks a free one); rejects when the port is taken. */
export async function listenHttp(app: Express, host: string, port: number): Promise<HttpListener> {
  const server = createServer(app)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, host, resolve)
  })
  const address: AddressInfo | string | null = server.address()
  const stop = (): Promise<void> =>
    new Promise((resolve) => {
      const cut = setTimeout(() => server.closeAllConnections(), 300)
      server.close(() => {
        clearTimeout(cut)
        resolve()
      })
      server.closeIdleConnections()
    })
  return { port: typeof address === 'object' && address ? address.port : port, stop }
}
