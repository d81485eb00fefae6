import type { ClientEvents } from '@gw/client'
import type { ServerMessage } from '@gw/protocol'
import { expect, test } from 'vitest'
import { watchTraffic } from '../../src/page/traffic.ts'

/** The part of a client that is listened to, with a hand on it. */
function source() {
  const listeners = new Map<string, (event: never) => void>()
  const pong = Promise.withResolvers<never>()
  return {
    client: {
      on: <E extends keyof ClientEvents>(name: E, listener: (event: ClientEvents[E]) => void) => {
        listeners.set(name, listener)
        return () => listeners.delete(name)
      },
      request: async () => pong.promise,
    },
    emit: <E extends keyof ClientEvents>(name: E, event: ClientEvents[E]) =>
      listeners.get(name)?.(event as never),
  }
}

const line = (seq: number, epoch = 'e'): ServerMessage => ({
  type: 'ChatMessage',
  tableId: 'T',
  channel: 'chat:T',
  epoch,
  seq,
  message: { id: `m${seq}`, userId: 'u', username: 'u', text: 't', ts: '2026-01-01T00:00:00Z' },
})

test('counts what came, what never came and what came twice, by itself', () => {
  const { client, emit } = source()
  const traffic = watchTraffic(client)
  emit('message', {
    type: 'ChatSubscribed',
    id: '1',
    tableId: 'T',
    history: [],
    channel: 'chat:T',
    epoch: 'e',
    seq: 4,
  })
  for (const seq of [5, 6, 6, 9]) emit('message', line(seq))
  // Where a message was published says nothing about what has come.
  emit('message', { type: 'Ack', id: '2', channel: 'chat:T', epoch: 'e', seq: 12 })
  expect(traffic.channels.get().get('chat:T')).toMatchObject({
    epoch: 'e',
    seq: 9,
    received: 3,
    doubled: 1,
    lost: 2,
  })
  expect(traffic.received().map(({ seq }) => seq)).toEqual([5, 6, 6, 9])
})

test('what follows a resume until the server answers is caught up; a new epoch that was said is no loss', () => {
  const { client, emit } = source()
  const traffic = watchTraffic(client)
  emit('message', line(1))
  emit('message', {
    type: 'Resumed',
    channels: { 'chat:T': { recovered: true, epoch: 'e', seq: 1 } },
  })
  for (const seq of [2, 3]) emit('message', line(seq))
  expect(traffic.channels.get().get('chat:T')).toMatchObject({ received: 3, recovered: 2, lost: 0 })
  emit('gap', { channel: 'chat:T', reason: 'reset' })
  emit('message', line(40, 'f'))
  expect(traffic.channels.get().get('chat:T')).toMatchObject({ epoch: 'f', seq: 40, lost: 0, resets: 1 })
})

test('a newest state in place of several is skipped over, not lost', () => {
  const { client, emit } = source()
  const traffic = watchTraffic(client)
  const lobby = (seq: number): ServerMessage => ({
    type: 'LobbyTablesUpdated',
    tables: [],
    channel: 'lobby',
    epoch: 'e',
    seq,
  })
  for (const seq of [1, 5]) emit('message', lobby(seq))
  expect(traffic.channels.get().get('lobby')).toMatchObject({ skipped: 3, lost: 0 })
})
