/** A client of the bare wire: everything that comes is written down as it came, so nothing that a library repairs is hidden. */
import { setTimeout as pause } from 'node:timers/promises'
import { connectWs, type TestMessage, type TestWsClient } from '@gw/testing'
import { between, type Random } from './random.ts'
import { type Place, Track } from './track.ts'

export interface SubscriberOptions {
  readonly name: string
  /** A gateway to connect to; asked at each attempt. */
  readonly url: () => string
  readonly token: string
  readonly tableId: string
  readonly random: Random
}

/** Someone who listens to a chat, through every reconnect. */
export interface Subscriber {
  readonly track: Track
  /** Close codes so far. */
  readonly closes: readonly number[]
  /** Loses its connection as a broken network would, and finds no way back until `release`. */
  hold(): void
  release(): void
  close(): Promise<void>
}

/** Nobody listens there. */
export const nowhere = 'ws://127.0.0.1:1/ws'

/** A {@link Subscriber} whose reading can be paused. */
export interface RawSubscriber extends Subscriber {
  pauseReading(): void
  resumeReading(): void
}

function placeOf(message: TestMessage): Place | undefined {
  const { epoch, seq } = message
  return typeof epoch === 'string' && typeof seq === 'number' ? { epoch, seq } : undefined
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

/** Connects and subscribes; resolves when the first answer is there. */
export async function startRawSubscriber(options: SubscriberOptions): Promise<RawSubscriber> {
  const { name, url, token, tableId, random } = options
  const channel = `chat:${tableId}`
  const track = new Track(name)
  const closes: number[] = []
  const joined = Promise.withResolvers<void>()
  let socket: TestWsClient | undefined
  let held = false
  const over = new AbortController()

  function hear(message: TestMessage, link: TestWsClient): void {
    const place = placeOf(message)
    switch (message.type) {
      case 'ChatMessage': {
        const entry = message['message']
        if (message['channel'] === channel && place && isObject(entry))
          track.add({ kind: 'message', ...place, id: String(entry['id']) })
        return
      }
      case 'ChatSubscribed':
        // Without a position of ours it is the answer to the first subscribe; with one, what follows a lost continuity.
        if (!place) return
        if (!track.last) track.add({ kind: 'joined', place })
        else if (message['recovered'] === true) track.add({ kind: 'recovered', place })
        else if (message['id'] !== undefined) track.add({ kind: 'reset', reason: 'not_recovered', place })
        joined.resolve()
        return
      case 'Resumed': {
        const channels = message['channels']
        const result = isObject(channels) ? channels[channel] : undefined
        if (!isObject(result) || 'error' in result) return void askAgain(link)
        const at = placeOf({ type: 'Resumed', ...result })
        if (!at) return
        if (result['recovered'] === true) track.add({ kind: 'recovered', place: at })
        else track.add({ kind: 'reset', reason: 'not_recovered', place: at })
        return
      }
      case 'Reset':
        if (message['channel'] === channel) track.add({ kind: 'reset', reason: String(message['reason']) })
        return
      case 'Error':
        if (message['id'] === 'subscribe') void askAgain(link)
    }
  }

  async function askAgain(link: TestWsClient): Promise<void> {
    await pause(200)
    subscribe(link)
  }

  function subscribe(link: TestWsClient): void {
    if (link.ws.readyState !== link.ws.OPEN) return
    link.send({
      type: 'SubscribeChat',
      tableId,
      id: 'subscribe',
      ...(track.last && { since: track.last }),
    })
  }

  async function connectOnce(): Promise<void> {
    const link = await connectWs(held ? nowhere : url())
    socket = link
    link.ws.on('message', () => {
      const message = link.received.at(-1)
      if (message) hear(message, link)
    })
    const { last } = track
    link.send({
      type: 'Authenticate',
      token,
      features: ['acks', 'heartbeat', 'drain'],
      ...(last && { resume: { [channel]: last } }),
    })
    if (!last) subscribe(link)
    const { code } = await link.closed
    closes.push(code)
  }

  const running = (async () => {
    while (!over.signal.aborted) {
      try {
        await connectOnce()
      } catch {
        // Refused: the next attempt may reach another gateway.
      }
      if (!over.signal.aborted) await pause(between(random, 50, 500))
    }
  })()

  await Promise.race([
    joined.promise,
    pause(30_000, undefined, { ref: false }).then(() => {
      throw new Error(`${name} could not subscribe within 30 s`)
    }),
  ])
  return {
    track,
    closes,
    hold() {
      held = true
      socket?.reset()
    },
    release() {
      held = false
    },
    pauseReading: () => void socket?.socket.pause(),
    resumeReading: () => void socket?.socket.resume(),
    async close() {
      over.abort()
      socket?.ws.terminate()
      await running
    },
  }
}
