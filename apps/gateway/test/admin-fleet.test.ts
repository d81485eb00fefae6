import { createMemoryBroker } from '@gw/pubsub'
import { expect, test } from 'vitest'
import { createFleet, type Fleet } from '../src/admin/fleet.ts'
import { digestOf } from '../src/admin/message-digest.ts'
import { createUserWatch, tailChannel } from '../src/admin/user-watch.ts'
import type { ClientSession } from '../src/ws/client-session.ts'

const classes = [{ prefix: 'admin:', kind: 'ephemeral', historySize: 0, historyMaxAgeMs: 0 }] as const

async function fleetOf(instanceIds: readonly string[], live: () => Promise<readonly string[]>) {
  const broker = createMemoryBroker({ classes })
  const fleets = instanceIds.map((instanceId) => {
    const fleet = createFleet({
      instanceId,
      broker,
      liveInstances: live,
      execute: async () => ({ closed: instanceId.length }),
      onError: (_stage, error) => {
        throw error
      },
      // Only a test of silence waits for it.
      deadlineMs: instanceIds.length > 1 ? 10_000 : 300,
    })
    return fleet
  })
  await Promise.all(fleets.map((fleet) => fleet.start()))
  return {
    fleets,
    async [Symbol.asyncDispose]() {
      for (const fleet of fleets) fleet.close()
      await broker.close()
    },
  }
}

const first = (fleets: readonly Fleet[]): Fleet => {
  const [fleet] = fleets
  if (!fleet) throw new Error('no fleet')
  return fleet
}

test('a question reaches every instance, and each answers once', async () => {
  await using made = await fleetOf(['a', 'bb', 'ccc'], async () => ['a', 'bb', 'ccc'])
  const answer = await first(made.fleets).ask({ type: 'kick', userId: 'ann' })
  expect(answer).toEqual({
    results: { a: { closed: 1 }, bb: { closed: 2 }, ccc: { closed: 3 } },
    silent: [],
    complete: true,
  })
  expect((await first(made.fleets).ask({ type: 'kick', userId: 'ann' }, 'bb')).results).toEqual({
    bb: { closed: 2 },
  })
})

test('an instance that lives and says nothing is named; one that does not live is not found', async () => {
  await using made = await fleetOf(['a'], async () => ['a', 'hung'])
  expect(await first(made.fleets).ask({ type: 'kick', userId: 'ann' })).toEqual({
    results: { a: { closed: 1 } },
    silent: ['hung'],
    complete: true,
  })
  await expect(first(made.fleets).ask({ type: 'kick' }, 'hung')).rejects.toMatchObject({ code: 'timeout' })
  await expect(first(made.fleets).ask({ type: 'kick' }, 'gone')).rejects.toMatchObject({ code: 'not_found' })
})

test('while nobody can say who lives, the instance still answers for itself, and says that it is alone', async () => {
  await using made = await fleetOf(['a'], () => Promise.reject(new Error('redis')))
  expect(await first(made.fleets).ask({ type: 'kick' })).toEqual({
    results: { a: { closed: 1 } },
    silent: [],
    complete: false,
  })
  await expect(first(made.fleets).ask({ type: 'kick' }, 'b')).rejects.toMatchObject({ code: 'unavailable' })
})

test('an answer that another version gives in another shape counts as none', async () => {
  const broker = createMemoryBroker({ classes })
  const shapes = { old: { gone: true }, new: { closed: 4 } }
  const fleets = Object.entries(shapes).map(([instanceId, result]) =>
    createFleet({
      instanceId,
      broker,
      liveInstances: async () => Object.keys(shapes),
      execute: async () => result,
      onError: () => {},
      deadlineMs: 300,
    }),
  )
  await Promise.all(fleets.map((fleet) => fleet.start()))
  const answer = await fleets[1]?.ask({ type: 'kick' })
  expect(answer).toEqual({ results: { new: { closed: 4 } }, silent: ['old'], complete: true })
  for (const fleet of fleets) fleet.close()
  await broker.close()
})

test('a digest shows names from a list, and neither cards, nor words of a chat, nor anything like a token', () => {
  const message = (data: unknown) =>
    digestOf({
      channel: 'table:t1',
      epoch: 'e',
      seq: 7,
      publishedAtMs: 1,
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      data: Buffer.from(JSON.stringify(data)),
    })
  const snapshot = message({
    type: 'TableSnapshot',
    cards: ['As'],
    tableState: {
      tableId: 't1',
      version: 3,
      token: 'canary',
      hand: { handId: 'h1', street: 'FLOP', turn: 2, communityCards: [{ rank: 'canary', suit: 'canary' }] },
    },
  })
  expect(snapshot).toMatchObject({
    seq: 7,
    type: 'TableSnapshot',
    traceId: '0af7651916cd43dd8448eb211c80319c',
  })
  expect(snapshot.fields).toEqual({
    'tableState.tableId': 't1',
    'tableState.version': 3,
    'tableState.hand.handId': 'h1',
    'tableState.hand.street': 'FLOP',
    'tableState.hand.turn': 2,
  })
  const chat = message({
    type: 'ChatMessage',
    tableId: 'no names with blanks',
    userId: 'x'.repeat(65),
    message: { id: 'm1', userId: 'ann', text: 'canary' },
  })
  expect(chat.fields).toEqual({ 'message.id': 'm1', 'message.userId': 'ann' })
  expect(JSON.stringify([snapshot, chat])).not.toContain('canary')
  expect(message('a bare text').type).toBe('unknown')
})

test('a watched user gives facts until the time is over, at most fifty a second, and says what was left out', async () => {
  const broker = createMemoryBroker({ classes })
  const heard: Record<string, unknown>[] = []
  const tailId = '00000000-0000-4000-8000-000000000001'
  const tail = await broker.subscribe(tailChannel(tailId), {
    onMessage: ({ data }) => void heard.push(JSON.parse(data.toString())),
    onReset: () => {},
  })
  tail.start()
  let nowMs = 1000
  const watch = createUserWatch({ instanceId: 'a', broker, now: () => nowMs })
  const session = (userId: string) => ({ userId, connectionId: `c-${userId}` }) as ClientSession
  const say = (userId: string) =>
    watch.onSession({
      type: 'message',
      messageType: 'Ping',
      result: 'ok',
      seconds: 0.002,
      session: session(userId),
    })

  say('ann')
  watch.watch({ type: 'watch_user', userId: 'ann', tailId, forMs: 5000 })
  say('ben')
  for (let at = 0; at < 60; at++) say('ann')
  nowMs = 2000
  say('ann')
  watch.onClosed(session('ann'), 1000)
  nowMs = 6000
  say('ann')
  await broker.publish(tailChannel(tailId), '{"kind":"end"}')
  await Promise.resolve()
  expect(heard).toHaveLength(53)
  expect(heard[0]).toEqual({
    atMs: 1000,
    instanceId: 'a',
    connectionId: 'c-ann',
    kind: 'message',
    type: 'Ping',
    result: 'ok',
    ms: 2,
  })
  expect(heard[50]).toMatchObject({ atMs: 2000, leftOut: 10 })
  expect(heard[51]).toMatchObject({ kind: 'closed', code: 1000 })
  await broker.close()
})
