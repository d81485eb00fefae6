import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { sendAll as loaded, missingBecause } from '@gw/send-all'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'

interface Pair {
  readonly fd: number
  readonly peer: Socket
  readonly server: Socket
}

let listener: Server
const open: Socket[] = []

beforeAll(async () => {
  listener = createServer({ pauseOnConnect: true })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
})
afterAll(() => listener.close())
afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy()
})

async function createPair(): Promise<Pair> {
  const address = listener.address()
  const peer = connect(typeof address === 'object' ? (address?.port ?? 0) : 0, '127.0.0.1')
  const [[server]] = await Promise.all([once(listener, 'connection'), once(peer, 'connect')])
  open.push(peer, server)
  server.on('error', () => {})
  peer.on('error', () => {})
  return { fd: server._handle.fd, peer, server }
}

/** All that the peer gets until it has so many bytes. */
async function read(peer: Socket | undefined, bytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of peer?.iterator({ destroyOnReturn: false }) ?? []) {
    chunks.push(chunk)
    if (chunks.reduce((sum, { length }) => sum + length, 0) >= bytes) break
  }
  return Buffer.concat(chunks)
}

describe.skipIf(process.platform !== 'linux')('sendAll', () => {
  const sendAll: NonNullable<typeof loaded> = (...args) => {
    if (loaded === undefined) throw new Error(`The addon is not there: ${missingBecause}`)
    return loaded(...args)
  }

  it('gives all bytes to each socket up to the first negative one', async () => {
    const pairs: Pair[] = []
    while (pairs.length < 4) pairs.push(await createPair())
    const rest = new Int32Array(8)
    const [a = 0, b = 0, c = 0, d = 0] = pairs.map(({ fd }) => fd)
    expect(sendAll(new Int32Array([c, a, -1, b, d]), Buffer.from('xhello').subarray(1), rest)).toBe(0)
    for (const at of [0, 2]) expect(String(await read(pairs[at]?.peer, 5))).toBe('hello')
    expect(sendAll(new Int32Array([a, b, c, d]), Buffer.from('all'), rest)).toBe(0)
    for (const { peer } of pairs) expect(String(await read(peer, 3))).toBe('all')
  })

  it('says how much a socket took that takes no more, and goes on with the others', async () => {
    const [full, easy] = [await createPair(), await createPair()]
    const large = Buffer.alloc(64 << 20, 'x')
    const rest = new Int32Array(4)
    full.peer.pause()
    expect(sendAll(new Int32Array([full.fd]), large, rest)).toBe(1)
    const [place, taken = 0] = rest
    expect(place).toBe(0)
    expect(taken).toBeGreaterThan(0)
    expect(taken).toBeLessThan(large.length)
    rest.fill(-1)
    // Now it takes nothing.
    expect(sendAll(new Int32Array([full.fd, easy.fd]), Buffer.from('hello'), rest)).toBe(1)
    expect([...rest]).toEqual([0, 0, -1, -1])
    expect(String(await read(easy.peer, 5))).toBe('hello')
    expect((await read(full.peer, taken)).length).toBe(taken)
  })

  it('tells of a file descriptor that is none', async () => {
    const { fd, peer } = await createPair()
    const rest = new Int32Array(8).fill(-7)
    expect(sendAll(new Int32Array([1_000_000, fd, 1 << 30, fd]), Buffer.from('ab'), rest)).toBe(2)
    expect([...rest]).toEqual([0, 0, 2, 0, -7, -7, -7, -7])
    expect(String(await read(peer, 4))).toBe('abab')
  })

  it('does not end the process for a socket that is shut for writing', async () => {
    const { fd, peer, server } = await createPair()
    server.end()
    peer.resume()
    await once(peer, 'end')
    const rest = new Int32Array(2).fill(-7)
    expect(sendAll(new Int32Array([fd]), Buffer.from('late'), rest)).toBe(1)
    expect([...rest]).toEqual([0, 0])
  })

  it('refuses other shapes and sizes before anything is written', async () => {
    const { fd, peer } = await createPair()
    const [fds, bytes, rest] = [new Int32Array([fd]), Buffer.from('no'), new Int32Array(2)]
    const wrong: readonly (readonly unknown[])[] = [
      [],
      [fds, bytes],
      [[fd], bytes, rest],
      [new Uint32Array([fd]), bytes, rest],
      [fds, 'no', rest],
      [fds, new Int8Array(2), rest],
      [fds, bytes, new Float64Array(2)],
      [fds, bytes, new Int32Array(1)],
    ]
    for (const args of wrong) expect(() => Reflect.apply(sendAll, undefined, args)).toThrow(TypeError)
    expect(sendAll(fds, Buffer.from('yes'), rest)).toBe(0)
    expect(String(await read(peer, 3))).toBe('yes')
  })

  it('never goes beyond its arrays, whatever they hold', () => {
    // Descriptors that no process has.
    const descriptors = fc.int32Array({ maxLength: 50, min: 1 << 29 })
    fc.assert(
      fc.property(descriptors, fc.option(fc.nat(49)), fc.nat(120), (fds, stop, places) => {
        if (stop !== null && stop < fds.length) fds[stop] = -1
        const sockets = fds.includes(-1) ? fds.indexOf(-1) : fds.length
        const rest = new Int32Array(places).fill(-7)
        const send = (): number => sendAll(fds, Buffer.from('x'), rest)
        if (Math.floor(places / 2) < sockets) expect(send).toThrow(TypeError)
        else {
          expect(send()).toBe(sockets)
          const told = Array.from({ length: sockets }, (_, place) => [place, 0]).flat()
          expect([...rest]).toEqual([...told, ...Array.from({ length: places - told.length }, () => -7)])
        }
      }),
    )
  })
})
