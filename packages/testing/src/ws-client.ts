import { once } from 'node:events'
import type { Socket } from 'node:net'
import { WebSocket } from 'ws'

/** A text frame that held a JSON object; other frames come as `{type: '(raw)', data: Buffer}`. */
export interface TestMessage {
  readonly type: string
  readonly [field: string]: unknown
}

/** Which message to wait for: a test, or the `type` it must have. */
export type TestPredicate = string | ((message: TestMessage) => boolean)

/** A WebSocket client for tests: remembers everything, waits by events, never sleeps. */
export interface TestWsClient extends AsyncDisposable {
  readonly ws: WebSocket
  /** The TCP socket below, to pause it, or to reset it as a lost network would. */
  readonly socket: Socket
  /** Response headers of the upgrade. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** All messages so far, in order. */
  readonly received: readonly TestMessage[]
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>
  /** Sends an object as JSON; a string or Buffer goes as it is. */
  send(data: object | string | Buffer): void
  /**
   * The first message that matches and that no earlier `next` returned; waits at most `timeoutMs` (default 5000), then
   * throws with the types of what came instead. Throws at once when the socket closes.
   */
  next(predicate: TestPredicate, timeoutMs?: number): Promise<TestMessage>
  /** The closing handshake. */
  close(code?: number, reason?: string): Promise<void>
  /** Ends the TCP connection with a reset, without a close frame. */
  reset(): void
}

export interface TestWsOptions {
  readonly headers?: Readonly<Record<string, string>>
  readonly protocols?: readonly string[]
  /** For the connect and the upgrade, in ms. Default 5000. */
  readonly timeoutMs?: number
}

/** An upgrade that was answered with an HTTP status; thrown by `connectWs`. */
export class TestWsRefused extends Error {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>

  constructor(status: number, headers: Readonly<Record<string, string | string[] | undefined>>) {
    super(`The upgrade was refused with HTTP ${status}`)
    this.name = 'TestWsRefused'
    this.status = status
    this.headers = headers
  }
}

interface Waiter {
  readonly matches: (message: TestMessage) => boolean
  readonly resolve: (message: TestMessage) => void
  readonly reject: (error: Error) => void
}

function isMessage(value: unknown): value is TestMessage {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
}

function parseFrame(data: Buffer, binary: boolean): TestMessage {
  if (!binary)
    try {
      const value: unknown = JSON.parse(data.toString())
      if (isMessage(value)) return value
    } catch {
      // Not JSON: kept below as it came.
    }
  return { type: '(raw)', data }
}

/** What came in, what `next` already gave out, and who waits. */
class Inbox {
  readonly received: TestMessage[] = []
  readonly #fresh: TestMessage[] = []
  readonly #waiters = new Set<Waiter>()
  #over: Error | undefined

  push(message: TestMessage): void {
    this.received.push(message)
    for (const waiter of this.#waiters)
      if (waiter.matches(message)) {
        this.#waiters.delete(waiter)
        waiter.resolve(message)
        return
      }
    this.#fresh.push(message)
  }

  end(error: Error): void {
    this.#over = error
    for (const waiter of this.#waiters) waiter.reject(error)
    this.#waiters.clear()
  }

  async next(predicate: TestPredicate, timeoutMs: number): Promise<TestMessage> {
    const matches = typeof predicate === 'string' ? (m: TestMessage) => m.type === predicate : predicate
    const at = this.#fresh.findIndex((message) => matches(message))
    const [found] = at === -1 ? [] : this.#fresh.splice(at, 1)
    if (found !== undefined) return found
    if (this.#over !== undefined) throw this.#over
    const wanted = typeof predicate === 'string' ? predicate : 'a match'
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        matches,
        resolve: (message) => (clearTimeout(timer), resolve(message)),
        reject: (error) => (clearTimeout(timer), reject(error)),
      }
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter)
        const came = this.#fresh.slice(-20).map(({ type }) => type)
        reject(new Error(`No ${wanted} within ${timeoutMs} ms; unmatched: ${came.join(', ') || 'nothing'}`))
      }, timeoutMs)
      this.#waiters.add(waiter)
    })
  }
}

/** Connects; resolves when open. Throws `TestWsRefused` on an HTTP answer, and what the socket says otherwise. */
export async function connectWs(url: string | URL, options: TestWsOptions = {}): Promise<TestWsClient> {
  const { headers = {}, protocols = [], timeoutMs = 5000 } = options
  const ws = new WebSocket(url, [...protocols], { headers: { ...headers }, handshakeTimeout: timeoutMs })
  const inbox = new Inbox()
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    ws.once('close', (code, reason) => {
      inbox.end(new Error(`The socket closed: ${code} ${reason.toString()}`))
      resolve({ code, reason: reason.toString() })
    })
  })
  ws.on('message', (data, binary) => {
    if (Buffer.isBuffer(data)) inbox.push(parseFrame(data, binary))
  })
  const upgraded = new Promise<Pick<TestWsClient, 'socket' | 'headers'>>((resolve, reject) => {
    ws.once('upgrade', (response) => resolve({ socket: response.socket, headers: response.headers }))
    ws.once('unexpected-response', (request, response) => {
      request.destroy()
      reject(new TestWsRefused(response.statusCode ?? 0, response.headers))
    })
    ws.on('error', reject)
  })
  const [transport] = await Promise.all([upgraded, once(ws, 'open')])

  const close = async (code = 1000, reason = ''): Promise<void> => {
    ws.close(code, reason)
    await closed
  }
  return {
    ws,
    ...transport,
    received: inbox.received,
    closed,
    send(data) {
      ws.send(typeof data === 'string' || Buffer.isBuffer(data) ? data : JSON.stringify(data))
    },
    next: async (predicate, deadlineMs = 5000) => inbox.next(predicate, deadlineMs),
    close,
    reset() {
      transport.socket.resetAndDestroy()
    },
    async [Symbol.asyncDispose]() {
      ws.terminate()
      await closed
    },
  }
}
