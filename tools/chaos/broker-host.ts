/**
 * A process of its own with one broker on a Redis Cluster: subscribes to every channel, publishes numbered messages into
 * each from SIGUSR2 on, and writes down what it sees and what was accepted, a JSON line each. A second
 * SIGUSR2 ends the publishing, not the hearing.
 */
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { createRedisBroker } from '@gw/pubsub/redis'
import { Cluster } from 'ioredis'

const name = process.env['CHAOS_NAME'] ?? 'host'
const everyMs = 10

function tell(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

async function main(): Promise<void> {
  const seeds = (process.env['CHAOS_PORTS'] ?? '')
    .split(',')
    .map((port) => ({ host: '127.0.0.1', port: Number(port) }))
  const channels = (process.env['CHAOS_CHANNELS'] ?? '').split(',')
  const client = new Cluster(seeds, { slotsRefreshInterval: 1000, slotsRefreshTimeout: 500 })
  client.on('error', () => {})
  const broker = createRedisBroker({ client, prefix: 'chaos' })
  const stopped = new AbortController()

  for (const channel of channels) {
    const { epoch, seq, start } = await broker
      .subscribe(channel, {
        onMessage: (message) =>
          tell({
            channel,
            kind: 'message',
            epoch: message.epoch,
            seq: message.seq,
            id: message.data.toString(),
          }),
        onReset: (reset) =>
          tell({
            channel,
            kind: 'reset',
            reason: reset.reason,
            place: { epoch: reset.epoch, seq: reset.seq },
          }),
      })
      .then((subscription) => ({
        epoch: subscription.epoch,
        seq: subscription.seq,
        start: () => subscription.start(),
      }))
    tell({ channel, kind: 'joined', place: { epoch, seq } })
    start()
  }
  const begin = once(process, 'SIGUSR2')
  tell({ msg: 'listening' })
  await begin
  process.once('SIGUSR2', () => stopped.abort())
  tell({ msg: 'publishing' })

  async function publishOne(channel: string, id: string): Promise<void> {
    for (;;)
      try {
        const { epoch, seq } = await broker.publish(channel, id, { idempotencyKey: id })
        return tell({ channel, kind: 'accepted', id, epoch, seq })
      } catch {
        await pause(20)
      }
  }
  await Promise.all(
    channels.map(async (channel) => {
      for (let at = 0; !stopped.signal.aborted; at++) {
        await publishOne(channel, `${name}-${at}`)
        await pause(everyMs)
      }
    }),
  )
  tell({ msg: 'published' })
}

await main()
