/** A request with an id, on two instances: applied once, the same answer; in memory as in Redis. */
import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll, describe, expect, inject, test } from 'vitest'
import {
  type AnswerStore,
  type AnswerStoreTimes,
  type KeptAnswer,
  MemoryAnswerStore,
} from '../src/services/answer-store.ts'
import { RedisAnswerStore } from '../src/services/redis-answer-store.ts'
import { createApplyOnce } from '../src/ws/apply-once.ts'

const client = new Redis(inject('redisUrl'))
afterAll(() => client.disconnect())

const times = { keepMs: 600_000, leaseMs: 3000 }
const ann = { userId: 'ann' }
const fold = { type: 'Action', tableId: 'T', action: 'Fold', id: 'a1' } as const
const accepted: KeptAnswer = { type: 'ActionResult', tableId: 'T', accepted: true, reason: '' }
const refused: KeptAnswer = {
  type: 'Error',
  code: 'refused',
  message: 'SEAT_NOT_AVAILABLE',
  retryable: false,
}

describe.each([
  {
    name: 'memory',
    storesOf: (more: Partial<AnswerStoreTimes>): AnswerStore[] => {
      const store = new MemoryAnswerStore({ ...times, ...more })
      return [store, store]
    },
  },
  {
    name: 'redis',
    storesOf: (more: Partial<AnswerStoreTimes>): AnswerStore[] => {
      const options = { ...times, ...more, redis: client, prefix: `test:${randomUUID()}:answer` }
      return [new RedisAnswerStore(options), new RedisAnswerStore(options)]
    },
  },
])('$name', ({ storesOf }) => {
  function setUp(
    more: Partial<AnswerStoreTimes> & { readonly waitMs?: number; readonly renewMs?: number } = {},
  ) {
    const { waitMs, renewMs, ...kept } = more
    const errors: unknown[] = []
    let attempts = 0
    let onRenew = (): void => {}
    const [one, two] = storesOf(kept).map((store) =>
      createApplyOnce({
        store: {
          begin: (request) => store.begin(request),
          async renew(request, lease) {
            await store.renew(request, lease)
            onRenew()
          },
          finish: (request, answer) => store.finish(request, answer),
          giveUp: (request, lease) => store.giveUp(request, lease),
        },
        local: new MemoryAnswerStore(times),
        onStoreError: (error) => errors.push(error),
        ...(waitMs !== undefined && { waitMs }),
        ...(renewMs !== undefined && { renewMs }),
      }),
    )
    if (!one || !two) throw new Error('no stores')
    return {
      one,
      two,
      errors,
      /** Resolves when leases were renewed so many times. */
      renewed: (times: number) =>
        new Promise<void>((resolve) => {
          let count = 0
          onRenew = () => {
            if (++count === times) resolve()
          }
        }),
      attempts: () => attempts,
      answering: (answer: KeptAnswer) => async (): Promise<KeptAnswer> => {
        attempts++
        return answer
      },
    }
  }

  test.each([
    ['an accepted action', accepted],
    ['a refusal', refused],
    ['what the contract gives no answer to', null],
  ])('the repeat of %s gets the same answer and does nothing', async (_what, answer) => {
    const { one, two, attempts, answering, errors } = setUp()
    expect(await one(fold, ann, answering(answer))).toEqual({ answer, duplicate: false })
    expect(await two(fold, ann, answering(null))).toEqual({ answer, duplicate: true })
    expect([attempts(), errors]).toEqual([1, []])
  })

  test('an accepted line of chat is answered alike; a refused one is judged anew', async () => {
    const { one, two, answering } = setUp()
    const line = { type: 'ChatSend', tableId: 'T', message: 'hi', id: 'c1' } as const
    const refusal: KeptAnswer = { type: 'ChatError', tableId: 'T', reason: 'not_seated' }
    const ack: KeptAnswer = { type: 'Ack', id: 'c1', messageId: 'm1', channel: 'chat:T', epoch: 'e', seq: 1 }
    await one(line, ann, answering(refusal))
    expect(await two(line, ann, answering(ack))).toEqual({ answer: ack, duplicate: false })
    expect(await one(line, ann, answering(refusal))).toEqual({ answer: ack, duplicate: true })
  })

  test('of two attempts, the second of which took over, the first answer counts for both and for every repeat', async () => {
    const { one, two, answering } = setUp({ leaseMs: 50 })
    const slow = Promise.withResolvers<KeptAnswer>()
    const late = Promise.withResolvers<KeptAnswer>()
    const begun = Promise.withResolvers<void>()
    const first = one(fold, ann, () => slow.promise)
    const second = two(fold, ann, () => {
      begun.resolve()
      return late.promise
    })
    await begun.promise
    slow.resolve(accepted)
    expect(await first).toEqual({ answer: accepted, duplicate: false })
    late.resolve(refused)
    expect(await second).toEqual({ answer: accepted, duplicate: false })
    expect(await one(fold, ann, answering(refused))).toEqual({ answer: accepted, duplicate: true })
  })

  test('an attempt that takes longer than its lease is not taken over while its instance lives', async () => {
    const { one, two, renewed, attempts, answering } = setUp({ leaseMs: 200, renewMs: 20 })
    const slow = Promise.withResolvers<KeptAnswer>()
    const first = one(fold, ann, () => slow.promise)
    const second = two(fold, ann, answering(refused))
    // Three leases later.
    await renewed(30)
    slow.resolve(accepted)
    expect(await first).toEqual({ answer: accepted, duplicate: false })
    expect(await second).toEqual({ answer: accepted, duplicate: true })
    expect(attempts()).toBe(0)
  })

  test('without an id, of another user, or with another id it is another request', async () => {
    const { one, two, attempts, answering } = setUp()
    const { id: _, ...plain } = fold
    await one(fold, ann, answering(accepted))
    await one(plain, ann, answering(accepted))
    await two(plain, ann, answering(accepted))
    await two(fold, { userId: 'ben' }, answering(accepted))
    await two({ ...fold, id: 'a2' }, ann, answering(accepted))
    expect(attempts()).toBe(5)
  })

  test('the id of another request is a conflict, whichever field differs', async () => {
    const { one, two, attempts, answering } = setUp()
    await one(fold, ann, answering(accepted))
    for (const other of [
      { ...fold, action: 'Call' } as const,
      { ...fold, handId: 'H' },
      { type: 'LeaveTable', tableId: 'T', id: 'a1' } as const,
    ])
      await expect(two(other, ann, answering(accepted))).rejects.toMatchObject({ code: 'conflict' })
    expect(attempts()).toBe(1)
  })

  test('a repeat while the first attempt is under way waits for its answer', async () => {
    const { one, two, attempts, answering } = setUp()
    const game = Promise.withResolvers<KeptAnswer>()
    const begun = Promise.withResolvers<void>()
    const first = one(fold, ann, () => {
      begun.resolve()
      return game.promise
    })
    await begun.promise
    const repeat = two(fold, ann, answering(refused))
    game.resolve(accepted)
    expect(await first).toEqual({ answer: accepted, duplicate: false })
    expect(await repeat).toEqual({ answer: accepted, duplicate: true })
    expect(attempts()).toBe(0)
  })

  test('when that takes too long the repeat is told to ask again', async () => {
    const { one, two, answering } = setUp({ waitMs: 1 })
    const game = Promise.withResolvers<KeptAnswer>()
    const begun = Promise.withResolvers<void>()
    const first = one(fold, ann, () => {
      begun.resolve()
      return game.promise
    })
    await begun.promise
    await expect(two(fold, ann, answering(accepted))).rejects.toMatchObject({
      code: 'unavailable',
      retryAfterMs: 500,
    })
    game.resolve(accepted)
    await first
    expect(await two(fold, ann, answering(refused))).toMatchObject({ answer: accepted, duplicate: true })
  })

  test('an attempt that is never heard of again (its instance died) is taken over when its lease ends', async () => {
    const { one, two, attempts, answering } = setUp({ leaseMs: 20 })
    const begun = Promise.withResolvers<void>()
    void one(fold, ann, () => {
      begun.resolve()
      return new Promise(() => {})
    })
    await begun.promise
    expect(await two(fold, ann, answering(accepted))).toEqual({ answer: accepted, duplicate: false })
    expect(attempts()).toBe(1)
  })

  test.each([
    ['throws', async () => Promise.reject(new Error('away'))],
    ['could not reach Game', async () => ({ ...accepted, accepted: false, reason: 'unavailable' })],
  ])('an attempt that %s is not remembered: the repeat is done', async (_what, attempt) => {
    const { one, two, answering } = setUp()
    await one(fold, ann, attempt).catch(() => {})
    expect(await two(fold, ann, answering(accepted))).toEqual({ answer: accepted, duplicate: false })
  })
})

test('Redis is away: it is reported, and each instance remembers by itself', async () => {
  const gone = new Redis({ lazyConnect: true, enableOfflineQueue: false, retryStrategy: () => null })
  const errors: unknown[] = []
  const once = createApplyOnce({
    store: new RedisAnswerStore({ ...times, redis: gone, prefix: 'test' }),
    local: new MemoryAnswerStore(times),
    onStoreError: (error) => errors.push(error),
  })
  gone.disconnect()
  expect(await once(fold, ann, async () => accepted)).toEqual({ answer: accepted, duplicate: false })
  expect(await once(fold, ann, async () => refused)).toEqual({ answer: accepted, duplicate: true })
  expect(errors.length).toBeGreaterThanOrEqual(2)
})

test('every key has a TTL of the times promised', async () => {
  const prefix = `test:${randomUUID()}:answer`
  const store = new RedisAnswerStore({ ...times, redis: client, prefix })
  const request = { userId: 'ann {x}', id: 'a 1', what: 'w' }
  await store.begin(request)
  const [key = ''] = await client.keys(`${prefix}:*`)
  expect(await client.pttl(key)).toBeLessThanOrEqual(times.leaseMs)
  expect(await client.pttl(key)).toBeGreaterThan(0)
  await store.finish(request, null)
  expect(await client.pttl(key)).toBeGreaterThan(times.leaseMs)
  expect(await client.pttl(key)).toBeLessThanOrEqual(times.keepMs)
})
