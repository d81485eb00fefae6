import { once } from 'node:events'
import type { Server } from 'node:http'

/** Listens on a free port of loopback; ends all connections when disposed. */
export async function listening(
  server: Server,
): Promise<{ readonly url: string; readonly port: number } & AsyncDisposable> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('no address')
  return {
    url: `http://127.0.0.1:${address.port}`,
    port: address.port,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}
