import { describe, expect, it } from 'vitest'
import { type Connection, createConnection, createConnectionRegistry, encodeFrame } from '@gw/connections'
import { endOfTurn, FakeSocket } from './fake-socket.ts'

function connect(id: string, userId: string, remoteAddress = '192.0.2.1'): [Connection, FakeSocket] {
  const socket = new FakeSocket()
  const connection = createConnection({ id, socket, remoteAddress, onMessage: () => {}, onClose: () => {} })
  connection.identity = { userId }
  return [connection, socket]
}

describe('createConnectionRegistry', () => {
  it('finds by id and by user, and is empty when all have left', () => {
    const registry = createConnectionRegistry()
    const [one] = connect('1', 'u')
    const [two] = connect('2', 'u')
    registry.register(one)
    registry.register(one)
    registry.register(two)
    expect([registry.size, registry.userCount]).toEqual([2, 1])
    expect(registry.getConnection('1')).toBe(one)
    expect(registry.getByUser('u')).toEqual([one, two])
    expect([registry.unregister('1'), registry.unregister('1'), registry.unregister('2')]).toEqual([
      true,
      false,
      true,
    ])
    expect([registry.size, registry.userCount]).toEqual([0, 0])
    expect(registry.getByUser('u')).toEqual([])
  })

  it.each([
    ['too_many', { max: 1 }, ['v', '192.0.2.2']],
    ['too_many_of_user', { maxPerUser: 1 }, ['u', '192.0.2.2']],
    ['too_many_of_address', { maxPerAddress: 1 }, ['v', '192.0.2.1']],
  ] as const)('refuses with %s, and lets in again when one has left', (code, options, [userId, address]) => {
    const registry = createConnectionRegistry(options)
    registry.register(connect('1', 'u')[0])
    const [second] = connect('2', userId, address)
    expect(registry.register(second)).toEqual({ ok: false, code })
    expect(registry.getConnection('2')).toBeUndefined()
    registry.unregister('1')
    expect(registry.register(second)).toEqual({ ok: true })
  })

  it.each([{ max: Number.NaN }, { maxPerUser: Number.NaN }, { maxPerAddress: -1 }])(
    'refuses %o, which would be no cap at all or shut everybody out',
    (options) => {
      expect(() => createConnectionRegistry(options)).toThrow(expect.objectContaining({ code: 'invalid' }))
    },
  )

  it('refuses a connection without an identity, and a second one with the same id', () => {
    const registry = createConnectionRegistry()
    const nobody = createConnection({
      id: '1',
      socket: new FakeSocket(),
      onMessage: () => {},
      onClose: () => {},
    })
    expect(() => registry.register(nobody)).toThrow(expect.objectContaining({ code: 'invalid' }))
    registry.register(connect('1', 'u')[0])
    expect(() => registry.register(connect('1', 'v')[0])).toThrow(
      expect.objectContaining({ code: 'invalid' }),
    )
  })

  it('broadcasts one shared frame to all or to those named, and counts who took it', async () => {
    const registry = createConnectionRegistry()
    const [one, first] = connect('1', 'u')
    const [two, second] = connect('2', 'v')
    registry.register(one)
    registry.register(two)
    const frame = encodeFrame('x')
    expect(registry.broadcast(frame, 'all')).toBe(2)
    await endOfTurn()
    expect(first.written[0]).toBe(frame)
    expect(second.written[0]).toBe(frame)
    expect(registry.broadcast(frame, ['2', 'nobody'])).toBe(1)
    two.close(1000, 'bye')
    expect(registry.broadcast(frame, 'all')).toBe(1)
  })
})
