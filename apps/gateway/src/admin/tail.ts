/**
 * A live view of one channel, or of what one user's sockets do on all instances, as Server-Sent Events. A reader that is
 * slower than the channel loses lines, and is told how many; it slows nobody down.
 */
import { randomUUID } from 'node:crypto'
import type { Response } from 'express'
import type { Broker, ChannelMessage, Subscription } from '@gw/pubsub'
import { GatewayError } from '../errors.ts'
import type { Fleet } from './fleet.ts'
import { digestOf } from './message-digest.ts'
import { tailChannel } from './user-watch.ts'

export interface TailOptions {
  readonly broker: Pick<Broker, 'subscribe'>
  readonly fleet: Pick<Fleet, 'ask'>
}

export interface Tail {
  /** Streams until the reader leaves, or ten minutes have passed. Rejects before the first byte only. */
  channel(channel: string, response: Response): Promise<void>
  user(userId: string, response: Response): Promise<void>
  /** Ends all streams. */
  close(): void
}

const maxTails = 16
const maxMs = 600_000
const maxBufferedBytes = 131_072
const watchMs = 30_000
const keepAliveMs = 10_000
const lingerMs = 1000

interface Stream {
  write(event: string, data: string): void
  onEnd(listener: () => void): void
}

/** A reader that does not read would keep its place for ever: it gets a second for what waits. */
function finish(response: Response): void {
  response.end()
  const late = setTimeout(() => response.destroy(), lingerMs)
  response.once('close', () => clearTimeout(late))
}

export function createTail({ broker, fleet }: TailOptions): Tail {
  const open = new Set<Response>()

  function begin(response: Response): Stream {
    response.writeHead(200, {
      'Content-Type': 'text/event-stream',
      'Cache-Control': 'no-store',
      'X-Accel-Buffering': 'no',
    })
    response.on('error', () => {})
    let lost = 0
    const put = (event: string, data: string): void => {
      if (response.writableEnded || response.destroyed) return
      if (response.writableLength > maxBufferedBytes) {
        lost++
        return
      }
      if (lost > 0) response.write(`event: lost\ndata: ${lost}\n\n`)
      lost = 0
      response.write(`event: ${event}\ndata: ${data}\n\n`)
    }
    const late = setTimeout(() => finish(response), maxMs)
    const alive = setInterval(() => put('alive', '{}'), keepAliveMs)
    response.once('close', () => {
      clearTimeout(late)
      clearInterval(alive)
    })
    return { write: put, onEnd: (listener) => void response.once('close', listener) }
  }

  async function follow(
    channel: string,
    response: Response,
    lineOf: (message: ChannelMessage) => string,
  ): Promise<Stream> {
    if (open.size >= maxTails) throw new GatewayError('unavailable', 'Too many tails at once')
    open.add(response)
    response.once('close', () => open.delete(response))
    let stream: Stream | undefined
    let subscription: Subscription
    try {
      subscription = await broker.subscribe(channel, {
        onMessage: (message) => stream?.write('message', lineOf(message)),
        onReset: ({ epoch, seq, reason }) => stream?.write('reset', JSON.stringify({ epoch, seq, reason })),
      })
    } catch (error) {
      open.delete(response)
      throw new GatewayError('unavailable', 'The channel cannot be reached', { cause: error })
    }
    if (response.writableEnded || response.destroyed) {
      subscription.close()
      throw new GatewayError('cancelled')
    }
    response.once('close', () => subscription.close())
    stream = begin(response)
    const { epoch, seq } = subscription
    stream.write('position', JSON.stringify({ channel, epoch, seq }))
    subscription.start()
    return stream
  }

  return {
    async channel(channel, response) {
      await follow(channel, response, (message) => JSON.stringify(digestOf(message)))
    },
    async user(userId, response) {
      const tailId = randomUUID()
      const watch = () => fleet.ask({ type: 'watch_user', userId, tailId, forMs: watchMs })
      const stream = await follow(tailChannel(tailId), response, ({ data }) => data.toString())
      const tell = (): void => {
        watch().then(
          ({ results, silent }) => {
            const sockets = Object.values(results).reduce((sum, result) => sum + result.sockets, 0)
            stream.write('watching', JSON.stringify({ sockets, silent }))
          },
          () => stream.write('watching', JSON.stringify({ sockets: 0, silent: ['?'] })),
        )
      }
      tell()
      const again = setInterval(tell, watchMs / 2)
      stream.onEnd(() => clearInterval(again))
    },
    close() {
      for (const response of open) finish(response)
    },
  }
}
