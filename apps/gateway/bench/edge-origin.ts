/** The service behind all rows: `?size=N` answers N bytes, a POST is read to its end. Prints its port. */
import { createServer } from 'node:http'

const chunk = Buffer.alloc(65_536, 'x')
const small = Buffer.alloc(1_000_000, 'x')

const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  const size = Number(new URL(request.url ?? '/', 'http://x').searchParams.get('size') ?? 0)
  if (request.method === 'POST') {
    request.resume().on('end', () => response.end('{}'))
    return
  }
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': size })
  if (size <= small.length) {
    response.end(small.subarray(0, size))
    return
  }
  let left = size
  const more = (): void => {
    while (left > 0) {
      const part = chunk.subarray(0, Math.min(chunk.length, left))
      left -= part.length
      if (!response.write(part)) {
        response.once('drain', more)
        return
      }
    }
    response.end()
  }
  more()
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (typeof address === 'object' && address !== null) process.send?.({ port: address.port })
})
