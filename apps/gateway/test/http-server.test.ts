import { once } from 'node:events'
import { Agent, get, type IncomingMessage, type RequestListener } from 'node:http'
import { connect, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { closeHttpServer, createHttpServer } from '../src/http/http-server.ts'
import { listening } from './harness/listening.ts'

/** Far away: what ends earlier did not wait for it. */
const never = 600_000

test('a server that closes answers what comes on an open connection, and says that it is the last', async () => {
  const server = createHttpServer((_request, response) => response.end('here'))
  const { port } = await listening(server)
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const ask = async (): Promise<string | undefined> => {
    const [response] = (await once(get({ port, agent }), 'response')) as [IncomingMessage]
    await once(response.resume(), 'end')
    return response.headers.connection
  }
  expect(await ask()).toBe('keep-alive')
  const closed = closeHttpServer(server, { lingerMs: never, timeoutMs: never })
  expect(await ask()).toBe('close')
  await closed
  await expect(ask()).rejects.toMatchObject({ code: 'ECONNREFUSED' })
})

test('a server that closes keeps a connection that rests for a moment, and one that is at work until time is over', async () => {
  const { promise: asked, resolve } = Promise.withResolvers<void>()
  const server = createHttpServer(({ url }, response) => {
    if (url === '/hangs') resolve()
    else response.end('here')
  })
  const { port } = await listening(server)
  const open = async (path: string) => {
    const socket = connect(port, '127.0.0.1')
    socket.write(`GET ${path} HTTP/1.1\r\nHost: here\r\n\r\n`)
    const ended = once(socket.resume(), 'close')
    return { socket, ended }
  }
  const resting = await open('/')
  await once(resting.socket, 'data')
  const busy = await open('/hangs')
  await asked
  const order: string[] = []
  void resting.ended.then(() => order.push('resting'))
  void busy.ended.then(() => order.push('busy'))
  await closeHttpServer(server, { lingerMs: 50, timeoutMs: 500 })
  await Promise.all([resting.ended, busy.ended])
  expect(order).toEqual(['resting', 'busy'])
})

/** More than the kernel takes for a client that reads nothing. */
const large = Buffer.alloc(50_000_000)

/** A server with a client that has asked, and reads nothing by itself. */
async function asked(unreadTimeoutMs: number, listener: RequestListener) {
  const server = createHttpServer(listener, { unreadTimeoutMs })
  const accepted = once(server, 'connection') as Promise<[Socket]>
  const { port, ...disposable } = await listening(server)
  const client = connect(port, '127.0.0.1').on('error', () => {})
  client.write('GET / HTTP/1.1\r\nHost: here\r\n\r\n')
  const [socket] = await accepted
  return { client, socket, ...disposable }
}

test('an answer that nobody reads ends its connection, whether all of it was given at once or not', async () => {
  await using atOnce = await asked(200, (_request, response) => response.end(large))
  await once(atOnce.socket, 'close')
  await using later = await asked(200, (_request, response) => {
    response.write(large)
    // The client was quiet for all of its time before the answer had its end.
    response.socket?.once('timeout', () => response.end())
  })
  await once(later.socket, 'close')
})

test('an answer that is long in coming is given, and its connection rests as long as any', async () => {
  let quiet = 0
  await using late = await asked(100, (_request, response) => {
    response.socket?.on('timeout', () => ++quiet === 3 && response.end('late'))
  })
  const [head] = (await once(late.client, 'data')) as [Buffer]
  expect(head.toString()).toMatch(/late$/)
  expect(late.socket).toMatchObject({ destroyed: false, timeout: 66_000 })
})

test('an answer that is read slowly is given to its end', async () => {
  await using slow = await asked(400, (_request, response) => {
    response.setHeader('Connection', 'close')
    response.end(large)
  })
  let read = 0
  const reading = setInterval(() => {
    read += (slow.client.read() as Buffer | null)?.length ?? 0
  }, 1)
  await once(slow.client, 'end')
  clearInterval(reading)
  expect(read).toBeGreaterThan(large.length)
})
