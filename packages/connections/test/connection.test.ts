import { describe, expect, it, onTestFinished, vi } from 'vitest'
import {
  type Connection,
  type ConnectionClose,
  type ConnectionEvent,
  type ConnectionOptions,
  createConnection,
  encodeFrame,
} from '@gw/connections'
import { endOfTurn, FakeSocket } from './fake-socket.ts'

interface Opened {
  readonly connection: Connection
  readonly socket: FakeSocket
  readonly events: ConnectionEvent[]
  readonly closes: ConnectionClose[]
}

function open(options: Partial<ConnectionOptions> = {}): Opened {
  const socket = new FakeSocket()
  const events: ConnectionEvent[] = []
  const closes: ConnectionClose[] = []
  const connection = createConnection({
    id: 'c',
    socket,
    onMessage: () => {},
    onClose: (close) => closes.push(close),
    onEvent: (event) => events.push(event),
    ...options,
  })
  return { connection, socket, events, closes }
}

const limits = { softBytes: 100, hardBytes: 200, drainTimeoutMs: 60_000 }
/** 20 bytes on the wire. */
const wide = (text: string): Buffer => encodeFrame(text.padEnd(18, '.'))

it('counts the bytes of both ways, and says when a turn is written', async () => {
  const { connection, socket } = open()
  socket.events.onMessage(Buffer.from('four'), false)
  connection.send(wide('a'))
  connection.send(wide('b'))
  expect([connection.receivedBytes, connection.sentBytes]).toEqual([4, 0])
  await endOfTurn()
  expect([connection.receivedBytes, connection.sentBytes]).toEqual([4, 40])
})

it.each([
  { outbound: { softBytes: 0 } },
  { outbound: { hardBytes: Number.NaN } },
  { outbound: { hardBytes: 100 } },
  { outbound: { softBytes: 2_000_000 } },
  { outbound: { drainTimeoutMs: Infinity } },
  { maxInbound: 0 },
  { maxInboundBytes: Number.NaN },
  { closeTimeoutMs: 2 ** 31 },
])('refuses %o before it listens', (options) => {
  const socket = new FakeSocket()
  expect(() => open({ ...options, socket })).toThrow(expect.objectContaining({ code: 'invalid' }))
  expect(() => socket.events).toThrow('Nobody listens')
})

describe('inbound', () => {
  it('hands messages over in order, one at a time, also when a handler is slow or fails', async () => {
    const log: string[] = []
    let inside = 0
    const done = Promise.withResolvers<void>()
    const { socket, events } = open({
      async onMessage(data) {
        expect(++inside).toBe(1)
        await endOfTurn()
        log.push(data.toString())
        inside--
        if (log.length === 3) done.resolve()
        if (log.length === 2) throw new Error('broken')
      },
    })
    for (const text of ['a', 'b', 'c']) socket.events.onMessage(Buffer.from(text), false)
    await done.promise
    expect(log).toEqual(['a', 'b', 'c'])
    expect(events).toEqual([{ type: 'error', stage: 'handler', error: new Error('broken') }])
  })

  it.each([
    ['messages', { maxInbound: 4 }, 1],
    ['bytes', { maxInboundBytes: 400 }, 100],
  ])(
    'stops reading when its %s are full, and reads on when half of them are done',
    async (_, options, size) => {
      const steps: (() => void)[] = []
      const { socket } = open({
        ...options,
        onMessage: () => new Promise<void>((resolve) => void steps.push(resolve)),
      })
      for (let at = 0; at < 5; at++) socket.events.onMessage(Buffer.alloc(size), false)
      expect(socket.calls).toEqual(['pause'])
      for (let at = 0; at < 5; at++) {
        steps[at]?.()
        await endOfTurn()
        expect(socket.calls).toEqual(at < 2 ? ['pause'] : ['pause', 'resume'])
      }
      expect(steps).toHaveLength(5)
    },
  )

  it('counts a peer that is not read as alive: its answer could not be seen', () => {
    const { connection, socket } = open({ maxInbound: 1, onMessage: () => new Promise(() => {}) })
    connection.ping()
    expect(connection.isAlive).toBe(false)
    socket.events.onMessage(Buffer.from('a'), false)
    expect(connection.isAlive).toBe(true)
    connection.ping()
    expect(connection.isAlive).toBe(false)
    socket.events.onMessage(Buffer.from('b'), false)
    connection.ping()
    expect(connection.isAlive).toBe(true)
  })
})

describe('outbound', () => {
  it('joins the frames of one turn in one write, which sockets with the same frames share', async () => {
    const opened = [open(), open(), open()]
    const frames = ['a', 'b', 'c'].map((text) => encodeFrame(text))
    for (const frame of frames)
      for (const { connection } of opened) expect(connection.send(frame)).toBe('sent')
    opened[2]?.connection.sendText('d')
    await endOfTurn()
    expect(opened.map(({ socket }) => socket.texts)).toEqual([
      ['a', 'b', 'c'],
      ['a', 'b', 'c'],
      ['a', 'b', 'c', 'd'],
    ])
    expect(opened.map(({ socket }) => socket.written.length)).toEqual([1, 1, 1])
    expect(opened[0]?.socket.written[0]).toBe(opened[1]?.socket.written[0])
  })

  it('under pressure holds events, replaces states of one key and drops what is ephemeral', async () => {
    const { connection, socket } = open({ outbound: limits })
    socket.isFast = false
    for (let at = 0; at < 5; at++) expect(connection.send(wide(`e${at}`))).toBe('sent')
    await endOfTurn()
    expect(connection.send(wide('s1'), { kind: 'state', key: 's' })).toBe('queued')
    expect(connection.send(wide('e5'))).toBe('queued')
    expect(connection.send(wide('typing'), { kind: 'ephemeral' })).toBe('dropped')
    expect(connection.send(wide('s2'), { kind: 'state', key: 's' })).toBe('conflated')
    expect(connection.bufferedBytes).toBe(140)
    socket.drain()
    const heard = socket.texts.map((text) => text.replaceAll('.', ''))
    expect(heard).toEqual(['e0', 'e1', 'e2', 'e3', 'e4', 'e5', 's2'])
    socket.drain()
    expect(connection.bufferedBytes).toBe(0)
    expect(connection.send(wide('e6'))).toBe('sent')
  })

  it('sends a frame of any size on an idle socket', async () => {
    const { connection, socket } = open({ outbound: limits })
    expect(connection.send(encodeFrame('x'.repeat(5000)))).toBe('sent')
    expect(connection.send(encodeFrame('y'))).toBe('sent')
    await endOfTurn()
    expect(socket.texts).toEqual(['x'.repeat(5000), 'y'])
  })

  it('sends a burst larger than every bound to a peer that takes it', async () => {
    const { connection, socket } = open({ outbound: limits })
    for (let at = 0; at < 100; at++) expect(connection.send(wide(String(at)))).toBe('sent')
    await endOfTurn()
    expect(socket.texts).toHaveLength(100)
  })

  it('closes with 4008 beyond the hard bound, and keeps nothing', async () => {
    const { connection, socket, events } = open({ outbound: limits })
    socket.isFast = false
    const results = Array.from({ length: 12 }, (_, at) => connection.send(wide(String(at))))
    await endOfTurn()
    expect(results).toEqual([...Array(5).fill('sent'), ...Array(5).fill('queued'), 'closed', 'closed'])
    expect(events).toEqual([{ type: 'too_slow', bufferedBytes: 220 }])
    expect(socket.calls.at(-1)).toBe('close 4008 too_slow')
    expect(connection.bufferedBytes).toBe(100)
  })

  it('has a default for each bound that is not given', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const fill = (connection: Connection): void => {
      for (let at = 0; at < 6; at++) connection.send(wide(String(at)))
    }
    const [slow, flooded] = [open({ outbound: { softBytes: 100 } }), open({ outbound: { softBytes: 100 } })]
    const late = open({ outbound: { hardBytes: 300_000 } })
    for (const { socket } of [slow, flooded, late]) socket.isFast = false
    fill(slow.connection)
    fill(flooded.connection)
    expect(flooded.connection.send(encodeFrame('x'.repeat(1_048_576)))).toBe('closed')
    const sizes = [200_000, 62_000, 62_000]
    expect(sizes.map((size) => late.connection.send(encodeFrame('x'.repeat(size))))).toEqual([
      'sent',
      'sent',
      'closed',
    ])
    vi.advanceTimersByTime(9_999)
    expect(slow.connection.state).toBe('open')
    vi.advanceTimersByTime(1)
    expect(slow.socket.calls.at(-1)).toBe('close 4008 too_slow')
  })

  it('closes with 4008 when the socket does not get empty in time', async () => {
    const { promise, resolve } = Promise.withResolvers<ConnectionEvent>()
    const { connection, socket } = open({ outbound: { ...limits, drainTimeoutMs: 20 }, onEvent: resolve })
    socket.isFast = false
    for (let at = 0; at < 6; at++) connection.send(wide(String(at)))
    expect(await promise).toEqual({ type: 'too_slow', bufferedBytes: 120 })
    expect(connection.state).toBe('closing')
  })

  it('does not let a broken socket keep others of its turn from theirs', async () => {
    const [broken, fine] = [open(), open()]
    broken.socket.write = () => {
      throw new Error('broken')
    }
    for (const { connection } of [broken, fine]) connection.sendText('a')
    await endOfTurn()
    expect(fine.socket.texts).toEqual(['a'])
    expect(broken.events).toEqual([{ type: 'error', stage: 'write', error: new Error('broken') }])
    expect(broken.connection.state).toBe('closed')
  })
})

describe('the direct way', () => {
  /** A connection that has found its peer keeping up. */
  async function openDirect(): Promise<Opened> {
    const opened = open()
    opened.socket.isDirect = true
    opened.connection.sendText('hello')
    await endOfTurn()
    expect(opened.socket.calls.splice(0)).toEqual(['write'])
    return opened
  }

  it('takes the frames of a turn in one write, shared with those who got the same', async () => {
    const [first, second] = [await openDirect(), await openDirect()]
    const frames = ['a', 'b'].map((text) => encodeFrame(text))
    for (const { connection } of [first, second]) for (const frame of frames) connection.send(frame)
    expect(first.connection.bufferedBytes).toBe(6)
    await endOfTurn()
    expect([first, second].map(({ socket }) => socket.calls)).toEqual([['direct'], ['direct']])
    expect(first.socket.written[1]).toBe(second.socket.written[1])
    expect(first.socket.texts).toEqual(['hello', 'a', 'b'])
    expect(first.connection.sentBytes).toBe(13)
    expect(first.connection.wroteAtMs).toBeGreaterThan(0)
  })

  it('is left for the socket when the network does not take all, and taken again behind the drain', async () => {
    const { connection, socket } = await openDirect()
    socket.isFast = false
    connection.sendText('a')
    await endOfTurn()
    connection.sendText('b')
    await endOfTurn()
    expect(socket.calls).toEqual(['direct', 'settle', 'write'])
    expect(connection.bufferedBytes).toBe(6)
    socket.isFast = true
    socket.drain()
    for (const text of ['c', 'd']) {
      connection.sendText(text)
      await endOfTurn()
    }
    expect(socket.calls).toEqual(['direct', 'settle', 'write', 'write', 'direct'])
    expect(socket.texts).toEqual(['hello', 'a', 'b', 'c', 'd'])
    expect(connection.sentBytes).toBe(19)
  })

  it('is not taken behind a detour, also for what was sent before it in the same turn', async () => {
    const { connection, socket } = await openDirect()
    connection.sendText('a')
    socket.detour()
    connection.sendText('b')
    await endOfTurn()
    connection.sendText('c')
    await endOfTurn()
    expect(socket.calls).toEqual(['write', 'direct'])
    expect(socket.texts).toEqual(['hello', 'a', 'b', 'c'])
  })

  it('brings nothing to a connection that closed in the turn, nor to who came in its place', async () => {
    const [ours, lost] = [await openDirect(), await openDirect()]
    for (const { connection } of [ours, lost]) connection.sendText('a')
    ours.connection.close(4001, 'because')
    lost.socket.events.onClose(1006, '')
    const next = open()
    next.connection.sendText('new')
    await endOfTurn()
    expect(ours.socket.calls).toEqual(['write', 'resume', 'close 4001 because'])
    expect(ours.socket.texts).toEqual(['hello', 'a'])
    expect(lost.socket.calls).toEqual([])
    expect([lost.connection.sentBytes, lost.connection.bufferedBytes]).toEqual([7, 0])
    expect(next.socket.texts).toEqual(['new'])
    expect([next.connection.sentBytes, next.connection.bufferedBytes]).toEqual([5, 0])
  })

  it('does not keep others of a turn from theirs when it throws', async () => {
    const [broken, fine] = [await openDirect(), await openDirect()]
    broken.socket.calls.push = () => {
      throw new Error('broken')
    }
    for (const { connection } of [broken, fine]) connection.sendText('a')
    broken.socket.terminate = () => broken.socket.events.onClose(1006, '')
    await endOfTurn()
    expect(fine.socket.texts).toEqual(['hello', 'a'])
    expect(broken.events).toEqual([{ type: 'error', stage: 'write', error: new Error('broken') }])
    expect(broken.connection.state).toBe('closed')
  })

  it('has its bounds: a turn larger than them is looked at by the connection', async () => {
    const { connection, socket } = await openDirect()
    const frame = encodeFrame('x'.repeat(60_000))
    for (let at = 0; at < 5; at++) expect(connection.send(frame)).toBe('sent')
    // Four fit; the fifth let them go first.
    expect(socket.calls).toEqual(['write'])
    await endOfTurn()
    expect(socket.calls).toEqual(['write', 'direct'])
    expect(socket.texts).toHaveLength(6)
  })
})

describe('the end', () => {
  it('goes in order, once: closing, flush, socket, closed', async () => {
    const order: string[] = []
    const { connection, socket, closes } = open({
      onClosing({ code, initiator }) {
        order.push(`closing ${code} ${initiator}`)
        connection.sendText('bye')
        connection.close(1011, 'again')
      },
    })
    connection.sendText('last')
    connection.close(1012, 'restart')
    connection.close(1000, 'twice')
    expect(order).toEqual(['closing 1012 local'])
    expect(socket.texts).toEqual(['last', 'bye'])
    expect(socket.calls).toEqual(['write', 'resume', 'close 1012 restart'])
    expect([connection.state, connection.sendText('late')]).toEqual(['closing', 'closed'])
    expect(closes).toEqual([])
    socket.events.onClose(1012, 'restart')
    socket.events.onClose(1006, '')
    await endOfTurn()
    expect(connection.state).toBe('closed')
    expect(closes).toEqual([{ code: 1012, reason: 'restart', initiator: 'local' }])
    expect(order).toHaveLength(1)
  })

  it('flushes what a slow reader was owed', () => {
    const { connection, socket } = open({ outbound: limits })
    socket.isFast = false
    for (let at = 0; at < 7; at++) connection.send(wide(String(at)))
    connection.close(1001, 'going')
    expect(socket.texts.map((text) => text.replaceAll('.', ''))).toEqual(['0', '1', '2', '3', '4', '5', '6'])
  })

  it('terminates a peer that never answers the close', async () => {
    const { promise, resolve } = Promise.withResolvers<ConnectionClose>()
    const { connection } = open({ closeTimeoutMs: 10, onClose: resolve })
    connection.close(1000, '')
    expect(await promise).toEqual({ code: 1006, reason: '', initiator: 'local' })
  })

  it.each([
    [1000, 'peer'],
    [1006, 'network'],
  ] as const)('of a socket that closed with %i is the %s’s', (code, initiator) => {
    const closing: ConnectionClose[] = []
    const { socket, closes } = open({ onClosing: (close) => closing.push(close) })
    socket.events.onClose(code, 'gone')
    expect(closing).toEqual([{ code, reason: 'gone', initiator }])
    expect(closes).toEqual(closing)
  })

  it('reports what its owner throws, and closes all the same', () => {
    const { connection, socket, events } = open({
      onClosing() {
        throw new Error('one')
      },
      onClose() {
        throw new Error('two')
      },
    })
    connection.terminate()
    expect(socket.calls).toEqual(['terminate'])
    expect(connection.state).toBe('closed')
    expect(events.map((event) => event.type === 'error' && event.error)).toEqual([
      new Error('one'),
      new Error('two'),
    ])
  })

  it('drops messages that waited', async () => {
    const heard: string[] = []
    const step = Promise.withResolvers<void>()
    const { connection, socket } = open({
      async onMessage(data) {
        heard.push(data.toString())
        await step.promise
      },
    })
    for (const text of ['a', 'b']) socket.events.onMessage(Buffer.from(text), false)
    connection.close(1000, '')
    socket.events.onMessage(Buffer.from('c'), false)
    step.resolve()
    await endOfTurn()
    expect(heard).toEqual(['a'])
  })
})

it('keeps identity once, round trip and age', () => {
  let now = 1000
  const { connection, socket } = open({ now: () => now })
  connection.identity = { userId: 'u' }
  expect(() => (connection.identity = { userId: 'v' })).toThrow(TypeError)
  connection.ping()
  now += 7
  socket.events.onPong()
  expect([connection.openedAtMs, connection.rttMs, connection.isAlive]).toEqual([1000, 7, true])
})
