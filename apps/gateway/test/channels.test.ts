import { type Connection, createConnection, createSubscriptions } from '@gw/connections'
import { createMemoryBroker } from '@gw/pubsub'
import { expect, test } from 'vitest'
import { createChannels } from '../src/services/channels.ts'
import { silentSocket } from './harness/silent-socket.ts'

function connection(onClosing: () => void): Connection {
  return createConnection({ id: 'c', socket: silentSocket(), onMessage() {}, onClosing, onClose() {} })
}

/** A socket that leaves all channels when it closes, as the gateway's do. */
function setUp() {
  const broker = createMemoryBroker()
  const subscriptions = createSubscriptions({ maxChannelsPerConnection: 10 })
  const channels = createChannels({ broker, subscriptions, kindOf: () => 'event' })
  const socket = connection(() => void channels.leaveAll('c'))
  const places = () => [subscriptions.channelCount, broker.stats().subscriptions]
  return { broker, channels, socket, places, [Symbol.asyncDispose]: () => broker.close() }
}

test('a subscription that comes behind the close leaves no place behind', async () => {
  await using place = setUp()
  const { channels, socket, places } = place
  socket.close(1000, '')
  await expect(channels.join(socket, 'table:T')).rejects.toMatchObject({ code: 'cancelled' })
  expect(places()).toEqual([0, 0])
})

test('a subscription that the close overtakes leaves no place behind', async () => {
  await using place = setUp()
  const { channels, socket, places } = place
  const joining = channels.join(socket, 'table:T')
  socket.close(1000, '')
  await expect(joining).rejects.toMatchObject({ code: 'cancelled' })
  expect(places()).toEqual([0, 0])
})
