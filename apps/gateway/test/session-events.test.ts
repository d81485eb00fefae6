import { AsyncLocalStorage } from 'node:async_hooks'
import { create } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'
import { GatewayError } from '../src/errors.ts'
import { PublishEventResponseSchema } from '../src/grpc/gen/event/event_pb.ts'
import { createSessionEvents, type SessionEventResult } from '../src/services/session-events.ts'

const context = new AsyncLocalStorage<string>()

/** An Event service that answers as it is told; `answers` are taken first to last, then all is well. */
function setUp(options: { readonly maxQueued?: number; readonly maxBatch?: number } = {}) {
  const results: SessionEventResult[] = []
  const keys: string[] = []
  const contexts: (string | undefined)[] = []
  const answers: (Error | boolean)[] = []
  let running = 0
  let most = 0
  const events = createSessionEvents({
    ...options,
    retryMs: 1,
    onResult: (result) => results.push(result),
    event: {
      async publishEvent({ idempotencyKey = '' }) {
        keys.push(idempotencyKey)
        contexts.push(context.getStore())
        most = Math.max(most, ++running)
        await new Promise((resolve) => setImmediate(resolve))
        running--
        const answer = answers.shift() ?? true
        if (answer instanceof Error) throw answer
        return create(PublishEventResponseSchema, { success: answer })
      },
    },
  })
  return {
    events,
    results,
    keys,
    contexts,
    answers,
    most: () => most,
    types: () => results.map(({ type }) => type),
    start: (id: string) =>
      events.started({ connectionId: id, userId: 'ann', clientType: 'web', connectedAtMs: 0 }),
    end: (id: string) =>
      events.ended({ connectionId: id, userId: 'ann', clientType: 'web', durationMs: 5, reason: '1000' }),
  }
}

test('goes out in batches, an end never beside its start, with keys that a repeat has too', async () => {
  const { events, start, end, keys, most } = setUp({ maxBatch: 3 })
  for (const id of ['a', 'b', 'c', 'd']) start(id)
  end('d')
  end('a')
  await expect.poll(() => events.queued).toBe(0)
  expect(keys).toEqual(
    ['a:started', 'b:started', 'c:started', 'd:started', 'd:ended', 'a:ended'].map((key) => `session:${key}`),
  )
  expect(most()).toBe(3)
})

test('while Event is away everything stays, and goes out on its return, in order', async () => {
  const { events, start, end, keys, answers, types } = setUp()
  answers.push(new GatewayError('unavailable'), new GatewayError('timeout'))
  start('a')
  end('a')
  await expect.poll(() => events.queued).toBe(0)
  expect(types()).toEqual(['failed', 'failed', 'sent', 'sent'])
  expect(keys.slice(-2)).toEqual(['session:a:started', 'session:a:ended'])
})

test('a refused type is not sent again: told once, then counted', async () => {
  const { events, start, answers, types } = setUp()
  answers.push(new GatewayError('invalid_request'), new GatewayError('invalid_request'))
  start('a')
  start('b')
  await expect.poll(() => events.queued).toBe(0)
  expect(types()).toEqual(['refused_first', 'refused'])
})

test.each([
  ['a fault of Event', new GatewayError('internal')],
  ['success: false', false],
])('%s is tried three times, then given up: one bad event holds up nobody', async (_what, answer) => {
  const { events, start, answers, types, keys } = setUp()
  answers.push(answer, answer, answer)
  start('a')
  await expect.poll(() => events.queued).toBe(0)
  expect(types()).toEqual(['failed', 'failed', 'given_up'])
  start('b')
  await expect.poll(() => keys.at(-1)).toBe('session:b:started')
})

test('the queue is bounded: the oldest goes, and that is counted', async () => {
  const { events, start, answers, types } = setUp({ maxQueued: 2 })
  answers.push(...Array.from({ length: 4 }, () => new GatewayError('unavailable')))
  for (const id of ['a', 'b', 'c']) start(id)
  expect(types()).toEqual(['dropped'])
  await expect.poll(() => events.queued).toBe(0)
})

test('each event goes out in the context of its own session, on a retry too', async () => {
  const { events, start, keys, contexts, answers } = setUp({ maxBatch: 1 })
  answers.push(new GatewayError('unavailable'))
  context.run('of ann', () => start('ann'))
  context.run('of ben', () => start('ben'))
  await expect.poll(() => events.queued).toBe(0)
  expect(keys.map((key, at) => `${key} ${contexts[at]}`)).toEqual([
    'session:ann:started of ann',
    'session:ann:started of ann',
    'session:ben:started of ben',
  ])
})
