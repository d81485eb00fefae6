import { type Connection, createConnection, type SocketLike } from '@gw/connections'
import { create } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'
import { GetTableStateResponseSchema } from '../src/grpc/gen/game/game_pb.ts'
import { createHoleCards } from '../src/services/hole-cards.ts'
import type { TableFacts } from '../src/services/table-facts.ts'

function socket(id: string, userId: string): { readonly connection: Connection; readonly sent: Buffer[] } {
  const sent: Buffer[] = []
  const like: SocketLike = {
    bufferedBytes: 0,
    write(frames) {
      sent.push(frames)
      return 0
    },
    ping() {},
    pause() {},
    resume() {},
    close() {},
    terminate() {},
    listen() {},
  }
  const connection = createConnection({ id, socket: like, onMessage() {}, onClose() {} })
  connection.identity = { userId }
  return { connection, sent }
}

const facts = (handId: string, ...seated: string[]): TableFacts => ({
  version: 1,
  handId,
  turn: undefined,
  seated: new Set(seated),
  spectators: new Set(),
  acted: new Map(),
})

/** A game where `ann` and `ben` hold cards, and that answers when it is told to. */
function setUp() {
  const sockets = [socket('a1', 'ann'), socket('a2', 'ann'), socket('b', 'ben'), socket('c', 'cat')]
  const asked: string[] = []
  const errors: unknown[] = []
  let hand = 'H1'
  let fail = false
  let answered = Promise.withResolvers<void>()
  const service = createHoleCards({
    socketsOf: (userId) =>
      sockets.map(({ connection }) => connection).filter(({ identity }) => identity?.userId === userId),
    onError: (error) => errors.push(error),
    game: {
      async getTableState({ userId = '' }) {
        asked.push(userId)
        const handId = hand
        await answered.promise
        if (fail) throw new Error('game is away')
        const holeCards =
          userId === 'cat'
            ? []
            : [
                { rank: 'A', suit: userId === 'ann' ? 'spades' : 'hearts' },
                { rank: '10', suit: 'clubs' },
              ]
        return create(GetTableStateResponseSchema, { state: { hand: { handId } }, holeCards })
      },
    },
  })
  for (const { connection } of sockets) service.begin(connection, 'T', undefined)
  return {
    service,
    sockets,
    asked,
    errors,
    setHand: (next: string) => (hand = next),
    setFailing: (next: boolean) => (fail = next),
    answer: async () => {
      answered.resolve()
      // Everything that waits for the answer runs before the next turn.
      await new Promise((resolve) => setImmediate(resolve))
      await new Promise((resolve) => setImmediate(resolve))
      answered = Promise.withResolvers<void>()
    },
    textsOf: (at: number) => sockets[at]?.sent.map((frame) => frame.toString()) ?? [],
  }
}

test('a new hand brings its owner the cards, on each own socket once, and nobody else', async () => {
  const { service, asked, answer, textsOf } = setUp()
  service.offer('T', facts('H1', 'ann', 'ben', 'cat'))
  service.offer('T', facts('H1', 'ann', 'ben', 'cat'))
  await answer()
  service.offer('T', facts('H1', 'ann', 'ben', 'cat'))
  await answer()
  expect(asked.toSorted()).toEqual(['ann', 'ben', 'cat'])
  for (const at of [0, 1]) {
    expect(textsOf(at)).toHaveLength(1)
    expect(textsOf(at)[0]).toContain('spades')
  }
  expect(textsOf(2)).toHaveLength(1)
  expect(textsOf(2)[0]).toContain('hearts')
  expect(textsOf(3)).toEqual([])
})

test('a hand that began while Game was asked is asked for once more', async () => {
  const { service, asked, answer, textsOf, setHand } = setUp()
  service.offer('T', facts('H1', 'ben'))
  setHand('H2')
  service.offer('T', facts('H2', 'ben'))
  await answer()
  await answer()
  expect(asked).toEqual(['ben', 'ben'])
  const hands = [
    ...textsOf(2)
      .join('')
      .matchAll(/"handId":"(\w+)"/g),
  ].map(([, handId]) => handId)
  expect(hands).toEqual(['H1', 'H2'])
})

test('a failure is told, and the next update tries again', async () => {
  const { service, answer, errors, textsOf, setFailing } = setUp()
  setFailing(true)
  service.offer('T', facts('H1', 'ben'))
  await answer()
  expect(errors).toHaveLength(1)
  setFailing(false)
  service.offer('T', facts('H1', 'ben'))
  await answer()
  expect(textsOf(2)).toHaveLength(1)
})

test('a socket without its snapshot gets no cards before it', async () => {
  const { service, asked, sockets } = setUp()
  const late = socket('d', 'dan')
  sockets.push(late)
  service.offer('T', facts('H1', 'dan'))
  expect(asked).toEqual([])
  expect(late.sent).toEqual([])
})
