import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect, type Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { sendAll } from '@gw/send-all'
import { connectWs } from '@gw/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import {
  type Connection,
  type ConnectionClose,
  type ConnectionEvent,
  type ConnectionOptions,
  createConnection,
  encodeFrame,
  type SendAll,
  useSendAll,
} from '@gw/connections'
import { fromWebSocket } from '@gw/connections/ws'
import { createDirectWriter } from '../src/direct-writer.ts'

interface Accepted {
  readonly connection: Connection
  readonly socket: WebSocket
  readonly events: ConnectionEvent[]
  readonly closed: Promise<ConnectionClose>
}

let settings: Partial<ConnectionOptions> = {}
let waiting: ((accepted: Accepted) => void)[] = []
let close = async (): Promise<void> => {}
let direct = true
let url = ''
let port = 0

beforeEach(async () => {
  const http = createServer()
  const server = new WebSocketServer({ server: http, maxPayload: 65_536 })
  server.on('connection', (socket) => {
    const events: ConnectionEvent[] = []
    const { promise, resolve } = Promise.withResolvers<ConnectionClose>()
    const connection = createConnection({
      id: 'c',
      socket: fromWebSocket(socket, { direct }),
      onMessage: (data) => void connection.sendText(data.toString()),
      onClose: resolve,
      onEvent: (event) => events.push(event),
      ...settings,
    })
    waiting.shift()?.({ connection, socket, events, closed: promise })
  })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const address = http.address()
  port = typeof address === 'object' && address !== null ? address.port : 0
  url = `ws://127.0.0.1:${port}`
  settings = {}
  waiting = []
  close = async () => {
    for (const socket of server.clients) socket.terminate()
    http.close()
    await once(http, 'close')
  }
})
afterEach(async () => close())

function accepted(): Promise<Accepted> {
  return new Promise((resolve) => waiting.push(resolve))
}

/** What a stream of a server's frames holds. Throws where there is no frame. */
function countFrames(bytes: Buffer) {
  const counts = { text: 0, ping: 0, close: 0, lengths: new Set<number>() }
  const kinds = new Map([
    [0x81, 'text'],
    [0x89, 'ping'],
    [0x88, 'close'],
  ] as const)
  for (let at = 0; at < bytes.length;) {
    const kind = kinds.get(bytes.readUInt8(at) as 0x81)
    if (kind === undefined) throw new Error(`No frame begins at ${at}`)
    const short = bytes.readUInt8(at + 1)
    const [head, length] = short < 126 ? [2, short] : [4, bytes.readUInt16BE(at + 2)]
    counts[kind]++
    counts.lengths.add(length)
    at += head + length
  }
  return counts
}

function rawOf(socket: WebSocket): Socket {
  return (socket as unknown as { readonly _socket: Socket })._socket
}

function handleOf(socket: Socket): { readonly fd: number } {
  return (socket as unknown as { readonly _handle: { readonly fd: number } })._handle
}

/** A client that speaks bytes: past the handshake, and reading nothing unless asked to. */
async function connectRaw(): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.write(
    'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
  )
  socket.on('error', () => {})
  const [head] = await once(socket, 'data')
  expect(String(head)).toMatch(/^HTTP\/1\.1 101 /)
  socket.pause()
  return socket
}

/** One message after the other, each when its client has the one before; all are counted. */
async function sendThree(): Promise<void> {
  const peer = accepted()
  await using client = await connectWs(url)
  const { connection } = await peer
  for (const type of ['a', 'b', 'c']) {
    connection.sendText(JSON.stringify({ type }))
    await client.next(type)
  }
  expect(connection.sentBytes).toBe(3 * encodeFrame('{"type":"a"}').length)
}

/** How often many sockets are written to in one call, from now on. */
function countCalls(sendAllOfWay: SendAll | undefined): () => number {
  let calls = 0
  if (sendAllOfWay !== undefined)
    useSendAll((...args) => {
      calls++
      return sendAllOfWay(...args)
    })
  return () => calls
}

const quiet = { onDrain() {}, onEnd() {} }

describe.each([
  ['many sockets in one call', true, sendAll],
  ['the handle', true, undefined],
  ['the stream', false, undefined],
] as const)('fromWebSocket by %s', (...[way, isDirect, sendAllOfWay]) => {
  beforeEach(() => {
    direct = isDirect
    useSendAll(sendAllOfWay)
  })
  afterEach(() => useSendAll(undefined))

  it('goes the way that it is said to go', async () => {
    const calls = countCalls(sendAllOfWay)
    await sendThree()
    // The first one may still be behind the handshake's answer.
    expect(calls()).toBe(way === 'many sockets in one call' ? 2 : 0)
  })

  it('carries messages both ways, and a burst arrives whole and in order', async () => {
    const peer = accepted()
    await using client = await connectWs(url)
    const { connection } = await peer
    client.send({ type: 'echo' })
    await client.next('echo')
    const frames = Array.from({ length: 200 }, (_, at) => encodeFrame(JSON.stringify({ type: 'n', at })))
    for (const frame of frames) connection.send(frame)
    connection.send(encodeFrame(JSON.stringify({ type: 'large', text: 'x'.repeat(300_000) })))
    await client.next('large')
    const numbers = client.received.filter(({ type }) => type === 'n').map(({ at }) => at)
    expect(numbers).toEqual(Array.from({ length: 200 }, (_, at) => at))
  })

  it('a ping is in its place among the messages, and does not change the way', async () => {
    const calls = countCalls(sendAllOfWay)
    const peer = accepted()
    await using client = await connectWs(url)
    const { connection, socket } = await peer
    const heard: string[] = []
    client.ws.on('ping', () => heard.push('ping'))
    client.ws.on('message', (data: Buffer) => heard.push(data.toString()))
    for (const [at, type] of ['a', 'b', 'c'].entries()) {
      connection.sendText(JSON.stringify({ type }))
      await client.next(type)
      connection.ping()
      await once(socket, 'pong')
      expect(connection.isAlive).toBe(true)
      expect(heard).toHaveLength(2 * at + 2)
    }
    expect(heard).toEqual(['{"type":"a"}', 'ping', '{"type":"b"}', 'ping', '{"type":"c"}', 'ping'])
    expect(calls()).toBe(way === 'many sockets in one call' ? 2 : 0)
  })

  it('goes on in order when pings come to a peer that stopped reading', async () => {
    settings = { outbound: { softBytes: 64 << 20, hardBytes: 64 << 20, drainTimeoutMs: 20_000 } }
    const peer = accepted()
    const client = await connectRaw()
    const { connection } = await peer
    const frame = encodeFrame('x'.repeat(60_000))
    for (let at = 0; at < 200; at++) {
      connection.send(frame)
      if (at % 3 === 0) connection.ping()
      if (at % 7 === 0) await new Promise(setImmediate)
    }
    connection.close(1000, 'end')
    const whole = 200 * frame.length + 67 * 2 + 7
    const chunks: Buffer[] = []
    for await (const chunk of client as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      if (chunks.reduce((sum, { length }) => sum + length, 0) >= whole) break
    }
    const counts = countFrames(Buffer.concat(chunks))
    expect(counts).toEqual({ text: 200, ping: 67, close: 1, lengths: new Set([60_000, 0, 5]) })
  })

  it('goes on when a peer that is behind pings', async () => {
    settings = { outbound: { hardBytes: 64 << 20, drainTimeoutMs: 2000 } }
    const peer = accepted()
    const client = await connectRaw()
    const { connection, socket } = await peer
    const frame = encodeFrame('x'.repeat(60_000))
    let sent = 0
    for (let held = 0; held < 5; sent += 1) {
      if (connection.send(frame) !== 'sent') held += 1
      await new Promise(setImmediate)
    }
    const pinged = once(socket, 'ping')
    client.write(Buffer.from([0x89, 0x80, 0, 0, 0, 0]))
    await pinged
    const whole = sent * frame.length + 2
    let received = 0
    for await (const chunk of client as AsyncIterable<Buffer>) {
      received += chunk.length
      if (received >= whole) break
    }
    expect(received).toBe(whole)
  })

  it('keeps the round trip of a ping', async () => {
    const peer = accepted()
    await using client = await connectWs(url)
    const { connection, socket } = await peer
    connection.ping()
    expect(connection.isAlive).toBe(false)
    await once(socket, 'pong')
    expect(connection.isAlive).toBe(true)
    expect(connection.rttMs).toBeGreaterThanOrEqual(0)
    expect(client.ws.readyState).toBe(1)
  })

  it.each(['ping', 'pong'] as const)('a peer may send so many frames of %s, and no more', async (kind) => {
    const peer = accepted()
    await using client = await connectWs(url)
    const { connection, socket, closed } = await peer
    for (let at = 0; at < 100; at++) {
      client.ws[kind]()
      // `ws` answers so many pings at once, and no more.
      if (kind === 'ping') await once(client.ws, 'pong')
    }
    client.ws.send('{"type":"still here"}')
    await client.next('still here')
    // What was asked for does not count.
    connection.ping()
    await once(socket, 'pong')
    expect(connection.state).toBe('open')
    client.ws[kind]()
    expect(await client.closed).toMatchObject({ code: 1006 })
    expect(await closed).toMatchObject({ code: 1006 })
  })

  it('closes with code and reason, behind what was sent', async () => {
    const peer = accepted()
    await using client = await connectWs(url)
    const { connection, closed } = await peer
    connection.sendText('{"type":"last"}')
    connection.close(4001, 'because')
    await client.next('last')
    expect(await client.closed).toEqual({ code: 4001, reason: 'because' })
    expect(await closed).toEqual({ code: 4001, reason: 'because', initiator: 'local' })
  })

  it.each([
    [
      'the peer',
      'peer',
      (client: Awaited<ReturnType<typeof connectWs>>) => client.ws.close(4002, 'mine'),
      4002,
    ],
    ['the network', 'network', (client: Awaited<ReturnType<typeof connectWs>>) => client.reset(), 1006],
  ] as const)('knows that %s ended it', async (...[, initiator, end, code]) => {
    const peer = accepted()
    await using client = await connectWs(url)
    const { closed } = await peer
    end(client)
    expect(await closed).toMatchObject({ code, initiator })
  })

  it('sends nothing behind the frame that answers a close of the peer', async () => {
    const peer = accepted()
    const client = await connectRaw()
    const { connection, socket, closed } = await peer
    const got: Buffer[] = []
    client.on('data', (data: Buffer) => got.push(data)).resume()
    client.write(Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]))
    while (socket.readyState === socket.OPEN) await new Promise(setImmediate)
    connection.sendText('late')
    client.once('end', () => client.end())
    expect(await closed).toMatchObject({ code: 1000, initiator: 'peer' })
    expect(Buffer.concat(got)).toEqual(Buffer.from([0x88, 0x02, 0x03, 0xe8]))
  })

  it.each([
    ['unmasked', Buffer.from([0x81, 0x01, 0x61])],
    ['with a reserved bit', Buffer.from([0xc1, 0x80, 0, 0, 0, 0])],
    ['with an unknown opcode', Buffer.from([0x83, 0x80, 0, 0, 0, 0])],
    ['a fragmented ping', Buffer.from([0x09, 0x80, 0, 0, 0, 0])],
    ['a continuation of nothing', Buffer.from([0x80, 0x80, 0, 0, 0, 0])],
    ['text that is not UTF-8', Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0xff])],
    ['a close of one byte', Buffer.from([0x88, 0x81, 0, 0, 0, 0, 3])],
    ['larger than allowed', Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0])],
  ])('survives a frame that is %s, before and after a good one', async (_, broken) => {
    for (const before of [Buffer.alloc(0), Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x7b, 0x7d])]) {
      const peer = accepted()
      const socket = await connectRaw()
      const { closed, events } = await peer
      socket.resume()
      socket.write(Buffer.concat([before, broken]))
      const { initiator } = await closed
      expect(initiator).not.toBe('local')
      expect(events.some((event) => event.type === 'error' && event.stage === 'socket')).toBe(true)
      socket.destroy()
    }
    const peer = accepted()
    await using client = await connectWs(url)
    await peer
    client.send({ type: 'alive' })
    await client.next('alive')
  })

  it('bounds what a peer that stopped reading costs, and closes it with 4008', async () => {
    const hardBytes = 1_048_576
    settings = { outbound: { softBytes: 262_144, hardBytes, drainTimeoutMs: 10_000 }, closeTimeoutMs: 50 }
    const peer = accepted()
    const socket = await connectRaw()
    const { connection, events, closed } = await peer
    const frame = encodeFrame('x'.repeat(60_000))
    const results = new Set<string>()
    let most = 0
    while (connection.state === 'open') {
      results.add(connection.send(frame))
      most = Math.max(most, connection.bufferedBytes)
      await new Promise(setImmediate)
    }
    expect([...results]).toEqual(['sent', 'queued', 'closed'])
    expect(most).toBeLessThanOrEqual(hardBytes + frame.length)
    expect(events.at(-1)).toMatchObject({ type: 'too_slow' })
    expect(await closed).toMatchObject({ code: 1006, initiator: 'local' })
    expect(connection.bufferedBytes).toBe(0)
    socket.destroy()
  })

  it('goes on where it stopped when a slow reader reads again: every event once, in order', async () => {
    settings = { outbound: { softBytes: 65_536, hardBytes: 8_388_608, drainTimeoutMs: 60_000 } }
    const peer = accepted()
    await using client = await connectWs(url)
    const { connection } = await peer
    client.socket.pause()
    const text = 'x'.repeat(10_000)
    let sent = 0
    while (connection.bufferedBytes < 1_000_000) {
      connection.sendText(JSON.stringify({ type: 'n', at: sent++, text }))
      await new Promise(setImmediate)
    }
    client.socket.resume()
    connection.sendText('{"type":"end"}')
    await client.next('end')
    const numbers = client.received.filter(({ type }) => type === 'n').map(({ at }) => at)
    expect(numbers).toEqual(Array.from({ length: sent }, (_, at) => at))
  })

  it('stops reading a peer that floods, and hears everything in the end', async () => {
    const release = Promise.withResolvers<void>()
    const heard: string[] = []
    const all = Promise.withResolvers<void>()
    settings = {
      maxInbound: 4,
      async onMessage(data) {
        await release.promise
        if (heard.push(data.toString()) === 500) all.resolve()
      },
    }
    const peer = accepted()
    await using client = await connectWs(url)
    const { socket, events } = await peer
    for (let at = 0; at < 500; at++) client.send(String(at))
    while (!socket.isPaused) await new Promise(setImmediate)
    release.resolve()
    await all.promise
    expect(heard).toEqual(Array.from({ length: 500 }, (_, at) => String(at)))
    expect(events[0]).toEqual({ type: 'reading', paused: true })
  })
})

describe('useSendAll', () => {
  beforeEach(() => {
    direct = true
  })
  afterEach(() => useSendAll(undefined))

  it('leaves nobody out when it throws: the handles go on', async () => {
    let thrown = 0
    useSendAll(() => {
      thrown++
      throw new TypeError('not today')
    })
    await sendThree()
    expect(thrown).toBe(2)
  })
})

/** `sendAll` that also says which file descriptors it was given. */
function watchFds(): { readonly fds: Set<number>; readonly sendAll: SendAll } {
  const seen = new Set<number>()
  return {
    fds: seen,
    sendAll(fds, bytes, rest) {
      for (const fd of fds.subarray(0, fds.indexOf(-1))) seen.add(fd)
      return sendAll?.(fds, bytes, rest) ?? 0
    },
  }
}

describe('a file descriptor', () => {
  beforeEach(() => {
    direct = true
  })
  afterEach(() => useSendAll(undefined))

  it.each([
    ['terminated', (socket: WebSocket, raw: Socket) => socket.terminate() ?? raw],
    ['destroyed', (socket: WebSocket, raw: Socket) => raw.destroy()],
    ['reset', (socket: WebSocket, raw: Socket) => raw.resetAndDestroy()],
  ])('of a socket that was %s in the same turn is not written to', async (...[, end]) => {
    const watched = watchFds()
    useSendAll(watched.sendAll)
    const peer = accepted()
    await using client = await connectWs(url)
    const { connection, socket, closed } = await peer
    connection.sendText('{"type":"first"}')
    await client.next('first')
    const raw = rawOf(socket)
    const { fd } = handleOf(raw)
    connection.sendText('{"type":"second"}')
    await client.next('second')
    expect(watched.fds.has(fd)).toBe(true)

    watched.fds.clear()
    connection.sendText('{"type":"never"}')
    end(socket, raw)
    await closed
    expect([...watched.fds]).toEqual([])
  })

  it('of a peer that is gone never gets what was meant for it, while others come and get it', async () => {
    const watched = watchFds()
    useSendAll(watched.sendAll)
    for (let round = 0; round < 20; round++) {
      const peer = accepted()
      const client = await connectWs(url)
      const { connection, closed } = await peer
      for (const type of ['hello', 'again']) {
        connection.sendText(JSON.stringify({ type }))
        await client.next(type)
      }
      client.reset()
      const sending = setInterval(() => connection.sendText(`{"type":"secret","of":${round}}`), 1)
      const next = accepted()
      await using stranger = await connectWs(url)
      const other = await next
      await closed
      clearInterval(sending)
      other.connection.sendText('{"type":"end"}')
      await stranger.next('end')
      expect(stranger.received.map(({ type }) => type)).toEqual(['end'])
    }
    expect(watched.fds.size).toBeGreaterThan(0)
  })
})

describe('createDirectWriter', () => {
  it('is there on a plain TCP socket of this Node: the fast way is the one that is used', async () => {
    const peer = accepted()
    await using client = await connectWs(url)
    await peer
    expect(createDirectWriter(client.socket, quiet)).toBeDefined()
  })

  it('is not there on anything else', () => {
    expect(createDirectWriter(new PassThrough(), quiet)).toBeUndefined()
  })

  it('leaves it to the stream what comes behind bytes that the stream holds', async () => {
    const peer = accepted()
    await using client = await connectWs(url)
    await peer
    const writer = createDirectWriter(client.socket, quiet)
    client.socket.cork()
    client.socket.write('x')
    writer?.waitForStream()
    expect(writer?.tryWrite(Buffer.from('y'))).toBe(false)
    client.socket.uncork()
    while (client.socket.writableLength > 0) await new Promise(setImmediate)
    expect(writer?.tryWrite(Buffer.from('y'))).toBe(true)
  })

  it('survives a handle that is closed', async () => {
    const peer = accepted()
    await using client = await connectWs(url)
    await peer
    const writer = createDirectWriter(client.socket, quiet)
    expect(writer?.tryWrite(Buffer.from('x'))).toBe(true)
    client.socket.destroy()
    expect(writer?.tryWrite(Buffer.from('y'))).toBe(true)
    expect(writer?.pendingBytes).toBe(0)
  })
})
