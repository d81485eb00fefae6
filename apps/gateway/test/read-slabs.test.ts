/** What a slab must never do: change under a client that has not all of it yet. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, request } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net'
import express from 'express'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createBackendGuard } from '../src/grpc/backend-guard.ts'
import { messageClasses } from '../src/http/express-messages.ts'
import { createHttpServer } from '../src/http/http-server.ts'
import { createProxy } from '../src/http/proxy.ts'
import { ProxyDispatcher } from '../src/http/proxy-dispatcher.ts'
import { createReadSlabs } from '../src/http/read-slabs.ts'
import { listening } from './harness/listening.ts'

/** Different at each place and for each `seed`, so that a byte out of its place or answer is seen. */
function bytesOf(seed: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  let state = seed * 2 + 1
  for (let at = 0; at + 4 <= length; at += 4)
    bytes.writeInt32LE((state = Math.imul(state, 1_664_525) + 1), at)
  return bytes
}

interface Answer {
  readonly size: number
  /** Of the writes of the backend; undefined: one, with its length stated. */
  readonly piece: number | undefined
  /** The client goes away after its first bytes. */
  readonly isCut: boolean
}

const answer = fc.record<Answer>({
  size: fc.oneof(fc.nat(5000), fc.nat(400_000), fc.nat(1_500_000)),
  piece: fc.option(fc.integer({ min: 500, max: 200_000 }), { nil: undefined }),
  isCut: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
})

interface Rig extends AsyncDisposable {
  /** The answer to `/at`, as it comes. */
  readonly ask: (at: number) => Promise<IncomingMessage>
}

/** A proxy before a backend that answers `/at` with what `answerTo(at)` says. */
async function proxied(answerTo: (at: number) => Answer | undefined): Promise<Rig> {
  const backend = await listening(
    createServer(({ url }, response) => {
      const at = Number(url?.slice(1))
      const { size = 0, piece } = answerTo(at) ?? {}
      const body = bytesOf(at, size)
      if (piece === undefined) return response.end(body)
      for (let from = 0; from < size; from += piece) response.write(body.subarray(from, from + piece))
      response.end()
    }),
  )
  const dispatcher = new ProxyDispatcher({ timeoutMs: 20_000 })
  const app = express()
  const guard = createBackendGuard()
  app.use(createProxy({ target: backend.url, timeoutMs: 20_000, dispatcher, guard, maxPerUser: 100 }))
  const front = await listening(createHttpServer(app, { messages: messageClasses(app) }))
  return {
    async ask(at) {
      const outgoing = request(`${front.url}/${at}`)
      outgoing.end()
      const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
      return response
    },
    async [Symbol.asyncDispose]() {
      await front[Symbol.asyncDispose]()
      await backend[Symbol.asyncDispose]()
      await dispatcher.destroy()
    },
  }
}

async function bodyOf(response: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of response) parts.push(part as Buffer)
  return Buffer.concat(parts)
}

test('of many answers at once, some of them cut off, each arrives as it was sent', async () => {
  let answers: readonly Answer[] = []
  await using rig = await proxied((at) => answers[at])
  await fc.assert(
    fc.asyncProperty(fc.array(answer, { minLength: 1, maxLength: 12 }), async (all) => {
      answers = all
      const take = async ({ isCut, size }: Answer, at: number): Promise<void> => {
        const response = await rig.ask(at)
        if (isCut) response.destroy()
        else expect((await bodyOf(response)).equals(bytesOf(at, size)), `answer ${at}`).toBe(true)
      }
      await Promise.all(all.map(take))
    }),
    { numRuns: 40 },
  )
})

test('what a client has not taken yet stays as it is while others are served', async () => {
  // More than the kernel takes for a client that reads nothing.
  const sizes = [32_000_000, 4_000_000]
  await using rig = await proxied((at) => ({ size: sizes[at] ?? 0, piece: undefined, isCut: false }))
  const slow = await rig.ask(0)
  for (let times = 0; times < 4; times++)
    expect((await bodyOf(await rig.ask(1))).equals(bytesOf(1, 4_000_000))).toBe(true)
  expect((await bodyOf(slow)).equals(bytesOf(0, 32_000_000))).toBe(true)
})

test('a slab that was given back is used again, one that was not never', async () => {
  const sent = bytesOf(1, 8_000_000)
  const server = createTcpServer((socket) => socket.end(sent)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const slabs = createReadSlabs()
  const seen = new Set<ArrayBufferLike>()
  async function receive(onChunk: (chunk: Buffer) => void): Promise<void> {
    const parts: Buffer[] = []
    const socket = connect({ port, host: '127.0.0.1', onread: slabs.onread })
    for await (const chunk of socket) {
      parts.push(Buffer.from(chunk as Buffer))
      if ((chunk as Buffer).length >= 32_768) seen.add((chunk as Buffer).buffer)
      onChunk(chunk as Buffer)
    }
    expect(Buffer.concat(parts).equals(sent)).toBe(true)
  }
  await receive(slabs.giveBack)
  // One is read ahead.
  expect(seen.size).toBeLessThanOrEqual(3)
  const held: Buffer[] = []
  await receive((chunk) => {
    held.push(chunk)
    // Neither a part of a read nor memory of others gives anything back.
    slabs.giveBack(chunk.subarray(0, chunk.length - 1))
    slabs.giveBack(Buffer.from(chunk))
  })
  expect(Buffer.concat(held).equals(sent)).toBe(true)
  server.close()
})
