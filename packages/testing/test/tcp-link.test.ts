import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { createLink } from '@gw/testing'

/** A server that sends back what it gets. */
async function startEcho(): Promise<AsyncDisposable & { url: string }> {
  const server = createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = address !== null && typeof address === 'object' ? address.port : 0
  return {
    url: `redis://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.close()
      await once(server, 'close')
    },
  }
}

async function dial(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

test('passes bytes, and holds them in order for the delay', async () => {
  await using echo = await startEcho()
  await using link = await createLink({ target: echo.url })
  const socket = await dial(link.port)
  link.delay(30)
  const start = performance.now()
  socket.write('a')
  socket.write('b')
  let got = ''
  while (got.length < 2) got += String((await once(socket, 'data'))[0])
  expect(got).toBe('ab')
  expect(performance.now() - start).toBeGreaterThan(55)
  socket.destroy()
})

test('a cut resets connections and refuses new ones until restored', async () => {
  await using echo = await startEcho()
  await using link = await createLink({ target: echo.url })
  const socket = await dial(link.port)
  socket.write('x')
  await once(socket, 'data')
  expect(link.connections).toBe(1)
  link.cut()
  await expect(once(socket, 'close')).rejects.toThrow(/ECONNRESET/)
  const refused = connect(link.port, '127.0.0.1')
  await expect(once(refused, 'close')).rejects.toThrow(/ECONNRESET/)
  link.restore()
  const again = await dial(link.port)
  again.write('y')
  expect(String((await once(again, 'data'))[0])).toBe('y')
  again.destroy()
})

test('a blackhole delivers nothing, then what was held', async () => {
  await using echo = await startEcho()
  await using link = await createLink({ target: echo.url })
  const socket = await dial(link.port)
  socket.write('1')
  await once(socket, 'data')
  link.blackhole('down')
  socket.write('2')
  await expect(once(socket, 'data', { signal: AbortSignal.timeout(100) })).rejects.toThrow(/abort/i)
  link.restore()
  expect(String((await once(socket, 'data'))[0])).toBe('2')
  socket.destroy()
})
