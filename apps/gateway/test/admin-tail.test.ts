/** Tails whose reader reads nothing: their places come back, and nothing of it reaches the process. */
import { createServer } from 'node:http'
import { once } from 'node:events'
import { createMemoryBroker } from '@gw/pubsub'
import express, { type Response } from 'express'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createTail, type Tail } from '../src/admin/tail.ts'
import { tailChannel } from '../src/admin/user-watch.ts'
import { listening } from './harness/listening.ts'
import { rawSocket } from './harness/raw-http.ts'

const maxMs = 600_000
const maxBufferedBytes = 131_072
const lingerMs = 1000
const classes = [{ prefix: 'admin:', kind: 'ephemeral', historySize: 0, historyMaxAgeMs: 0 }] as const

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] })
})
afterEach(() => {
  vi.useRealTimers()
})

interface Stalled extends AsyncDisposable {
  readonly tail: Tail
  readonly response: Response
  readonly say: (bytes: number) => Promise<void>
}

/** A tail of a user whose reader asks and then reads nothing; at least `bytes` wait for it. */
async function stalledTail(bytes: number): Promise<Stalled> {
  const broker = createMemoryBroker({ classes })
  const watched = Promise.withResolvers<string>()
  const tail = createTail({
    broker,
    fleet: {
      ask: async (command) => {
        if ('tailId' in command) watched.resolve(command.tailId)
        return { results: {}, silent: [], complete: true }
      },
    },
  })
  const opened = Promise.withResolvers<Response>()
  const app = express()
  app.get('/tail', (_request, response, next) => {
    tail.user('ann', response).then(() => opened.resolve(response), next)
  })
  const server = await listening(createServer(app))
  const reader = rawSocket(server)
  reader.pause()
  reader.write('GET /tail HTTP/1.1\r\nHost: x\r\n\r\n')
  const [response, tailId] = await Promise.all([opened.promise, watched.promise])
  const say = async (size: number): Promise<void> => {
    await broker.publish(tailChannel(tailId), 'x'.repeat(size))
    // By then the kernel has taken what it takes.
    await new Promise((resolve) => setImmediate(resolve))
  }
  // It takes some MB for a reader that does not read, and then nothing three times in a row.
  for (let kept = 0; kept < 3 || response.writableLength < bytes;) {
    const before = response.writableLength
    await say(16_384)
    kept = response.writableLength > before + 16_384 ? kept + 1 : 0
  }
  return {
    tail,
    response,
    say,
    async [Symbol.asyncDispose]() {
      reader.destroy()
      await server[Symbol.asyncDispose]()
      await broker.close()
    },
  }
}

test.each([
  ['little', 1],
  ['more than the tail lets wait', maxBufferedBytes + 1],
])('a reader that stalled with %s waiting is cut off when its time is over', async (_what, bytes) => {
  await using stalled = await stalledTail(bytes)
  const { response, say } = stalled
  const closed = once(response, 'close')
  vi.advanceTimersByTime(maxMs)
  expect(response.writableEnded).toBe(true)
  // What still comes must not be written behind the end.
  await say(10)
  vi.advanceTimersByTime(lingerMs)
  await closed
})

test('tails that end with the process end also for a reader that stalled', async () => {
  await using stalled = await stalledTail(1)
  const closed = once(stalled.response, 'close')
  stalled.tail.close()
  vi.advanceTimersByTime(lingerMs)
  await closed
})
