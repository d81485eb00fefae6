import { once } from 'node:events'
import { createServer } from 'node:net'

/**
 * Listens on a free port for messages, one a line: `<room> <payload>`. Resolves to the port. How the control servers are
 * fed: cheaper for them than any message bus.
 */
export async function listenForLines(onLine: (room: string, payload: Buffer) => void): Promise<number> {
  const server = createServer((socket) => {
    let rest: Buffer = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10)) {
        const space = rest.indexOf(32)
        onLine(rest.toString('latin1', 0, space), rest.subarray(space + 1, end))
        rest = rest.subarray(end + 1)
      }
    })
    socket.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}
