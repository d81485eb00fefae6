import { expect, test } from 'vitest'
import { createRateLimiter, MemoryRateLimitStore, RateLimitError } from '../src/index.ts'
import { createSocketLimiter, type SocketLimiter, type SocketLimiterOptions } from '../src/ws.ts'

const limiter = (limit: number, now: () => number): SocketLimiterOptions['limiter'] =>
  createRateLimiter({
    store: new MemoryRateLimitStore({ now }),
    policies: [
      { name: 'user', limit, windowMs: 10_000 },
      { name: 'ip', limit: limit * 10, windowMs: 10_000 },
    ],
    onStoreError: 'deny',
  })

const keys = (): { policy: string; key: string }[] => [
  { policy: 'user', key: 'u:1' },
  { policy: 'ip', key: 'ip:203.0.113.7' },
]

const wide = { limit: 1000, windowMs: 10_000 }

async function burst(socket: SocketLimiter, frames: number): Promise<boolean[]> {
  const judged = Array.from({ length: frames }, async () => socket.judge('action'))
  return (await Promise.all(judged)).map(({ allowed }) => allowed)
}

test('of 40 frames at once under a limit of 20 the first 20 pass, in order, and the last 20 do not', async () => {
  const socket = createSocketLimiter({ limiter: limiter(20, () => 0), keys, perConnection: wide })
  const expected = [...Array.from({ length: 20 }, () => true), ...Array.from({ length: 20 }, () => false)]
  expect(await burst(socket, 40)).toEqual(expected)
  expect(socket.pending).toBe(0)
})

test('answers in the order of the frames even when the store answers out of order', async () => {
  const waiting: (() => void)[] = []
  const inner = limiter(100, () => 0)
  const slowFirst: SocketLimiterOptions['limiter'] = {
    async consume(requests) {
      await new Promise<void>((resolve) => waiting.push(resolve))
      return inner.consume(requests)
    },
  }
  const socket = createSocketLimiter({ limiter: slowFirst, keys, perConnection: wide })
  const order: number[] = []
  const judged = [0, 1, 2].map(async (frame) => {
    await socket.judge('action')
    order.push(frame)
  })
  while (order.length < 3) {
    // Never more than one frame is with the store.
    expect(waiting.length).toBeLessThanOrEqual(1)
    waiting.pop()?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  await Promise.all(judged)
  expect(order).toEqual([0, 1, 2])
})

test("the socket's own limit is exact, asks nobody, and gives the exact wait", async () => {
  let nowMs = 0
  let asked = 0
  const inner = limiter(100, () => nowMs)
  const counting: SocketLimiterOptions['limiter'] = {
    async consume(requests) {
      asked += 1
      return inner.consume(requests)
    },
  }
  const perConnection = { limit: 2, windowMs: 1000 }
  const socket = createSocketLimiter({ limiter: counting, keys, perConnection, now: () => nowMs })
  await socket.judge('chat')
  nowMs = 300
  await socket.judge('chat')
  const refused = await socket.judge('chat')
  expect(refused).toEqual({
    allowed: false,
    reason: 'rate_limited',
    scope: 'connection',
    retryAfterMs: 700,
    abusive: false,
    refused: [],
  })
  expect(asked).toBe(2)
  nowMs = 999
  expect(await socket.judge('chat')).toMatchObject({ allowed: false, retryAfterMs: 1 })
  nowMs = 1000
  expect(await socket.judge('chat')).toEqual({ allowed: true })
  expect(await socket.judge('chat')).toMatchObject({ allowed: false, retryAfterMs: 300 })
})

test('a frame that user or address refuse does not count on the socket, and says who refused', async () => {
  const perConnection = { limit: 2, windowMs: 10_000 }
  const socket = createSocketLimiter({ limiter: limiter(1, () => 0), keys, perConnection, now: () => 0 })
  expect(await socket.judge('action')).toEqual({ allowed: true })
  for (let frame = 0; frame < 3; frame += 1) {
    const refused = await socket.judge('action')
    expect(refused).toMatchObject({
      scope: 'shared',
      retryAfterMs: 20_000,
      refused: [{ policy: 'user', key: 'u:1' }],
    })
  }
})

test('kinds without keys are limited by the socket alone', async () => {
  const socket = createSocketLimiter({ limiter: limiter(1, () => 0), keys: () => [], perConnection: wide })
  expect(await burst(socket, 5)).toEqual([true, true, true, true, true])
})

test('says abusive after so many refusals in a row', async () => {
  const perConnection = { limit: 1, windowMs: 1000 }
  const socket = createSocketLimiter({
    limiter: limiter(9, () => 0),
    keys,
    perConnection,
    abusiveAfter: 3,
    now: () => 0,
  })
  const said: (boolean | undefined)[] = []
  for (let frame = 0; frame < 4; frame += 1) {
    const judged = await socket.judge('action')
    said.push(judged.allowed ? undefined : judged.abusive)
  }
  expect(said).toEqual([undefined, false, false, true])
})

test('refuses frames above its bound at once, and rejects those of a closed socket', async () => {
  const socket = createSocketLimiter({
    limiter: limiter(9, () => 0),
    keys,
    perConnection: wide,
    maxPending: 2,
  })
  const first = [socket.judge('a'), socket.judge('a')]
  const above = socket.judge('a')
  socket.close()
  expect(await above).toMatchObject({ allowed: false, scope: 'pending' })
  for (const result of await Promise.allSettled(first)) {
    expect(result).toMatchObject({ status: 'rejected', reason: { code: 'CLOSED' } })
  }
})

test('a broken call rejects, and the frame after it is judged', async () => {
  const unknown = (kind: string): { policy: string; key: string }[] =>
    kind === 'bad' ? [{ policy: 'none', key: 'k' }] : keys()
  const socket = createSocketLimiter({ limiter: limiter(9, () => 0), keys: unknown, perConnection: wide })
  const bad = socket.judge('bad')
  const good = socket.judge('good')
  await expect(bad).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
  expect(await good).toEqual({ allowed: true })
})

test('refuses options that mean nothing', () => {
  const perConnection = { limit: 0, windowMs: 1000 }
  expect(() => createSocketLimiter({ limiter: limiter(1, () => 0), keys, perConnection })).toThrow(
    RateLimitError,
  )
})
