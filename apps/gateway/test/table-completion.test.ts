import { create } from '@bufbuild/protobuf'
import { createMemoryBroker } from '@gw/pubsub'
import { expect, test } from 'vitest'
import { GetTableStateResponseSchema } from '../src/grpc/gen/game/game_pb.ts'
import { createTableCompletion } from '../src/services/table-completion.ts'

const snapshot = (version: number, hand: object | null = { handId: 'H', currentBet: 4 }): string =>
  JSON.stringify({ type: 'TableSnapshot', tableState: { tableId: 'T', version, hand } })

const complete = { roundContributions: { '2': 4 }, actedSeats: [2], raiseCapped: false, bigBlind: 2 }

/** Game answers question by question, when it is told to. */
async function setUp({ waitMs = 10_000, maxWaiting = 8 } = {}) {
  const broker = createMemoryBroker()
  const said: { readonly tableState: { readonly version: number; readonly hand: object | null } }[] = []
  const subscription = await broker.subscribe('table:T', {
    onMessage: ({ data }) => void said.push(JSON.parse(data.toString())),
    onReset() {},
  })
  subscription.start()
  const questions: ((version: number | Error) => void)[] = []
  const publish = createTableCompletion({
    publish: (channel, data, options) => broker.publish(channel, data, options),
    waitMs,
    maxWaiting,
    game: {
      getTableState() {
        const { promise, resolve, reject } = Promise.withResolvers<number>()
        questions.push((answer) => (answer instanceof Error ? reject(answer) : resolve(answer)))
        return promise.then((version) => {
          const hand = {
            handId: 'H',
            roundContributions: { 2: 4n },
            actedSeats: [2],
            raiseCapped: false,
            bigBlind: 2n,
          }
          return create(GetTableStateResponseSchema, { state: { version, hand } })
        })
      },
    },
  })
  return {
    publish: (data: string) => publish('table:T', data),
    said,
    questions,
    [Symbol.asyncDispose]: () => broker.close(),
  }
}

test('a snapshot of the version that Game has now gets what it lacks', async () => {
  await using place = await setUp()
  const done = place.publish(snapshot(7))
  place.questions[0]?.(7)
  await done
  expect(place.said).toEqual([JSON.parse(snapshot(7, { ...complete, handId: 'H', currentBet: 4 }))])
})

test.each([
  ['of another version', 8],
  ['that failed', new Error('game is away')],
])('an answer %s changes nothing', async (_what, answer) => {
  await using place = await setUp()
  const done = place.publish(snapshot(7))
  place.questions[0]?.(answer)
  await done
  expect(place.said).toEqual([JSON.parse(snapshot(7))])
})

test('an answer that is late is not waited for', async () => {
  await using place = await setUp({ waitMs: 1 })
  await place.publish(snapshot(7))
  expect(place.said).toEqual([JSON.parse(snapshot(7))])
})

test.each([
  ['no hand', snapshot(7, null)],
  ['an ended hand', snapshot(7, { handId: 'H', endedAt: '2026-01-01T00:00:00.000Z' })],
  ['a complete hand', snapshot(7, { handId: 'H', ...complete })],
  ['another message', '{"type":"TimerUpdate"}'],
])('%s is passed through without a question', async (_what, data) => {
  await using place = await setUp()
  await place.publish(data)
  expect(place.said).toEqual([JSON.parse(data)])
  expect(place.questions).toEqual([])
})

test('order is kept, one question serves the versions it can, and a long queue goes out as it is', async () => {
  await using place = await setUp({ maxWaiting: 2 })
  const all = [1, 2, 3, 4].map((version) => place.publish(snapshot(version)))
  expect(place.questions).toHaveLength(1)
  place.questions[0]?.(2)
  await Promise.all(all)
  expect(place.questions).toHaveLength(1)
  expect(place.said.map(({ tableState }) => tableState.version)).toEqual([1, 2, 3, 4])
  expect(
    place.said.map(({ tableState }) => tableState.hand !== null && 'bigBlind' in tableState.hand),
  ).toEqual([false, true, false, false])
})
