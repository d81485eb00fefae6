/** Random play with spectators, reconnects and resumes over two instances: no card reaches a socket that doesn't own it. */
import type { TestMessage, TestWsClient } from '@gw/testing'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { startFleet } from './harness/fleet.ts'
import type { GatewayProcess } from './harness/platform.ts'
import { signIn } from './harness/player.ts'

const fleet = await startFleet({ demo: { HAND_START_DELAY_MS: '10', NEXT_HAND_DELAY_MS: '10' } })
afterAll(() => fleet[Symbol.asyncDispose]())
const { gateways: instances } = fleet

const players = ['cards-p0', 'cards-p1', 'cards-p2'] as const
const people = [...players, 'cards-s0', 'cards-s1']

interface Person {
  readonly userId: string
  readonly sockets: TestWsClient[]
  socket: TestWsClient
}

const at = (index: number): GatewayProcess => {
  const instance = instances[index % instances.length]
  if (!instance) throw new Error('no instance')
  return instance
}

function connect(userId: string, instance: GatewayProcess, resume?: object): Promise<TestWsClient> {
  const features = ['acks', 'presence', 'typing']
  return signIn(instance.wsUrl, userId, { features, ...(resume && { resume }) })
}

let lastId = 0
async function ask(socket: TestWsClient, message: object): Promise<TestMessage> {
  const id = `cards-${++lastId}`
  socket.send({ ...message, id })
  return socket.next((reply) => reply['id'] === id)
}

function positionOf(socket: TestWsClient, channel: string): object {
  const last = socket.received.findLast((message) => message['channel'] === channel)
  return last ? { [channel]: { epoch: last['epoch'], seq: last['seq'] } } : {}
}

const step = fc.record({
  who: fc.integer({ min: 0, max: people.length - 1 }),
  what: fc.constantFrom('act', 'act', 'act', 'act', 'reconnect', 'resync', 'resubscribe', 'chat'),
  action: fc.constantFrom('Fold', 'Check', 'Call', 'Call', 'Check'),
  instance: fc.integer({ min: 0, max: 1 }),
})

test(
  'random play: cards come to their owner alone, by every way that messages have',
  { timeout: 60_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 40 }), async (steps) => {
        const tableId = await at(0).createTable('cards-p0')
        const channel = `table:${tableId}`
        const crowd: Person[] = []
        for (const [index, userId] of people.entries()) {
          const socket = await connect(userId, at(index))
          await ask(socket, { type: 'SubscribeTable', tableId })
          await ask(socket, { type: 'SubscribeChat', tableId })
          crowd.push({ userId, sockets: [socket], socket })
        }
        for (const [seatId, userId] of players.entries())
          await at(0).fetch(`/api/tables/${tableId}/join`, { userId, method: 'POST', body: { seatId } })
        for (const { who, what, action, instance } of steps) {
          const person = crowd[who]
          if (!person) continue
          if (what === 'act') await ask(person.socket, { type: 'Action', tableId, action })
          else if (what === 'resync') await ask(person.socket, { type: 'ResyncTable', tableId })
          else if (what === 'chat') await ask(person.socket, { type: 'ChatSend', tableId, message: 'hm' })
          else if (what === 'resubscribe') {
            await ask(person.socket, { type: 'UnsubscribeTable', tableId })
            await ask(person.socket, { type: 'SubscribeTable', tableId })
          } else {
            const resume = positionOf(person.socket, channel)
            person.socket.reset()
            person.socket = await connect(person.userId, at(instance), resume)
            person.sockets.push(person.socket)
            await person.socket.next('Resumed')
          }
        }
        check(crowd, tableId)
        for (const { socket } of crowd) await socket.close()
      }),
      { numRuns: 5 },
    )
  },
)

/** The cards of one hand that one user was shown are the same on all sockets, and nobody else was shown any of them. */
function check(crowd: readonly Person[], tableId: string): void {
  const owners = new Map<string, string>()
  let shown = 0
  for (const { userId, sockets } of crowd)
    for (const { received } of sockets)
      for (const message of received) {
        if (message.type !== 'HoleCards') {
          expect(JSON.stringify(message)).not.toMatch(/"holeCards":(?!null)|"hole_cards":(?!null)/)
          continue
        }
        shown++
        expect(players).toContain(userId)
        expect(message).toMatchObject({ tableId, cards: [expect.anything(), expect.anything()] })
        expect(message).not.toHaveProperty('channel')
        for (const card of message['cards'] as readonly { readonly rank: string; readonly suit: string }[]) {
          const key = `${String(message['handId'])} ${card.rank} ${card.suit}`
          expect(owners.get(key) ?? userId).toBe(userId)
          owners.set(key, userId)
        }
      }
  expect(shown).toBeGreaterThan(0)
  for (const instance of instances) expect(instance.process.output()).not.toContain('holeCards')
}
