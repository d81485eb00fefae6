import fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  type Connection,
  type ConnectionOptions,
  createConnection,
  createConnectionGroup,
  encodeFrame,
} from '@gw/connections'
import { endOfTurn, FakeSocket } from './fake-socket.ts'

interface Opened {
  readonly connection: Connection
  readonly socket: FakeSocket
}

function open(options: Partial<ConnectionOptions> = {}): Opened {
  const socket = new FakeSocket()
  socket.isDirect = true
  const connection = createConnection({ id: 'c', socket, onMessage: () => {}, onClose: () => {}, ...options })
  return { connection, socket }
}

const limits = { softBytes: 100, hardBytes: 200, drainTimeoutMs: 60_000 }
/** 20 bytes on the wire. */
const wide = (text: string): Buffer => encodeFrame(text.padEnd(18, '.'))
const noCounts = { sent: 0, queued: 0, conflated: 0, dropped: 0, closed: 0 }

it('brings a frame to every member once, in order with what each gets by itself', async () => {
  const opened = [open(), open(), open()]
  const group = createConnectionGroup()
  const members = opened.map(({ connection }) => group.add(connection))
  for (const round of ['1', '2']) {
    expect(group.send(encodeFrame(`a${round}`))).toEqual({ ...noCounts, sent: 3 })
    opened[1]?.connection.sendText(`own${round}`)
    group.send(encodeFrame(`b${round}`))
    await endOfTurn()
  }
  members[0]?.leave()
  members[0]?.leave()
  expect(group.size).toBe(2)
  group.send(encodeFrame('c'))
  await endOfTurn()
  expect(opened.map(({ socket }) => socket.texts)).toEqual([
    ['a1', 'b1', 'a2', 'b2'],
    ['a1', 'own1', 'b1', 'a2', 'own2', 'b2', 'c'],
    ['a1', 'b1', 'a2', 'b2', 'c'],
  ])
  expect(opened.map(({ socket }) => socket.calls)).toEqual([
    ['write', 'direct'],
    ['write', 'direct', 'direct'],
    ['write', 'direct', 'direct'],
  ])
  expect(opened[0]?.socket.written[1]).toBe(opened[2]?.socket.written[1])
})

it('counts what became of a frame where a peer is slow, as a send to each does', async () => {
  const group = createConnectionGroup()
  const slow = open({ outbound: limits })
  const fast = open()
  for (const { connection } of [slow, fast]) group.add(connection)
  slow.socket.isFast = false
  for (let at = 0; at < 5; at++) group.send(wide(`e${at}`))
  await endOfTurn()
  const state = { kind: 'state', key: 's' } as const
  expect(group.send(wide('s1'), state)).toEqual({ ...noCounts, sent: 1, queued: 1 })
  expect(group.send(wide('t'), { kind: 'ephemeral' })).toEqual({ ...noCounts, sent: 1, dropped: 1 })
  expect(group.send(wide('s2'), state)).toEqual({ ...noCounts, sent: 1, conflated: 1 })
  slow.socket.isFast = true
  slow.socket.drain()
  slow.connection.close(4000, 'bye')
  expect(group.send(wide('e5'))).toEqual({ ...noCounts, sent: 1, closed: 1 })
  await endOfTurn()
  const heard = [slow, fast].map(({ socket }) => socket.texts.map((text) => text.replaceAll('.', '')))
  expect(heard).toEqual([
    ['e0', 'e1', 'e2', 'e3', 'e4', 's2'],
    ['e0', 'e1', 'e2', 'e3', 'e4', 's1', 't', 's2', 'e5'],
  ])
})

it('goes on when a send ends a member, which leaves in the middle and takes another along', async () => {
  const group = createConnectionGroup()
  const first = open()
  const ending = open({
    outbound: limits,
    onClosing() {
      for (const member of leaving) member.leave()
    },
  })
  const opened = [first, ending, open({ outbound: limits }), open()]
  const members = opened.map(({ connection }) => group.add(connection))
  const leaving = [members[1], members[2]].filter((member) => member !== undefined)
  ending.socket.isFast = false
  const counts = Array.from({ length: 12 }, (_, at) => group.send(wide(String(at))))
  await endOfTurn()
  expect(counts.at(9)).toEqual({ ...noCounts, sent: 3, queued: 1 })
  expect(counts.at(10)).toEqual({ ...noCounts, sent: 2, closed: 1 })
  expect(counts.at(11)).toEqual({ ...noCounts, sent: 2 })
  expect(group.size).toBe(2)
  for (const { socket } of [first, opened[3] ?? first]) expect(socket.texts).toHaveLength(12)
  expect(opened[2]?.socket.texts).toHaveLength(10)
})

it('never brings to a new connection what was meant for a closed one that has not left', async () => {
  const group = createConnectionGroup()
  const old = open()
  const member = group.add(old.connection)
  old.socket.events.onClose(1006, '')
  const next = open()
  expect(group.send(encodeFrame('a'))).toEqual({ ...noCounts, closed: 1 })
  member.leave()
  const last = open()
  group.send(encodeFrame('b'))
  await endOfTurn()
  for (const { socket } of [old, next, last]) expect(socket.texts).toEqual([])
  expect(group.add(old.connection).leave()).toBeUndefined()
  expect(group.size).toBe(0)
})

type Step =
  | { readonly do: 'send'; readonly text: string }
  | {
      readonly do: 'own' | 'join' | 'leave' | 'detour' | 'slow' | 'drain' | 'close' | 'open'
      readonly who: number
    }
  | { readonly do: 'turn' }

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('send'), text: fc.stringMatching(/^[a-z]{1,40}$/) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom('own', 'join', 'leave', 'detour', 'slow', 'drain', 'close', 'open'),
      who: fc.nat(3),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('turn') }) },
)

it('whatever happens between: every member gets every frame once, in order, and nobody else', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 80, size: 'max' }), async (steps) => {
      const group = createConnectionGroup()
      const create = () => ({ ...open(), expected: [] as string[], member: undefined as Leaving })
      type Leaving = ReturnType<typeof group.add> | undefined
      const all = [create(), create(), create(), create()]
      const places = [...all]
      const expectNext = (one: (typeof all)[number], text: string): void => {
        if (one.connection.state === 'open') one.expected.push(text)
      }
      let own = 0
      for (const each of steps) {
        const one = 'who' in each ? places[each.who] : undefined
        if (each.do === 'turn') await endOfTurn()
        if (each.do === 'send') {
          for (const member of places) if (member.member !== undefined) expectNext(member, each.text)
          group.send(encodeFrame(each.text))
        }
        if (one === undefined || !('who' in each)) continue
        if (each.do === 'own') {
          expectNext(one, `own-${own}`)
          one.connection.sendText(`own-${own++}`)
        } else if (each.do === 'join') one.member ??= group.add(one.connection)
        else if (each.do === 'leave') {
          one.member?.leave()
          one.member = undefined
        } else if (each.do === 'detour') one.socket.detour()
        else if (each.do === 'slow') one.socket.isFast = false
        else if (each.do === 'drain') {
          one.socket.isFast = true
          one.socket.drain()
        } else if (each.do === 'close') one.connection.close(4000, 'bye')
        else {
          one.socket.events.onClose(1006, '')
          // What it had not written is lost with its socket.
          one.expected.length = one.socket.texts.length
          one.member?.leave()
          all.push((places[each.who] = create()))
        }
      }
      await endOfTurn()
      for (const { socket, expected } of all) expect(socket.texts).toEqual(expected)
      expect(group.size).toBe(places.filter(({ member }) => member !== undefined).length)
    }),
    { numRuns: 30 },
  )
})
