/**
 * What order and a log cost, against bare Redis pub/sub in the same run: publishes a second, latency from publish to
 * subscriber, CPU of this process. Run: `node --conditions=@gw/source bench/broker.ts [rounds]`.
 */
import { Redis } from 'ioredis'
import { cpus } from 'node:os'
import { startRedis } from '@gw/testing'
import { createMemoryBroker } from '@gw/pubsub'
import { createRedisBroker } from '@gw/pubsub/redis'

interface Row {
  readonly publish: (channel: string, data: Buffer) => Promise<unknown>
  readonly subscribe: (channel: string, onData: (data: Buffer) => void) => Promise<unknown>
}

interface Figures {
  readonly perSecond: number
  readonly cpuMicros: number
  readonly p50Ms: number
  readonly p99Ms: number
}

const messages = 20_000
const channels = 50
const inFlight = 200
const rounds = Number(process.argv[2] ?? 5)

async function measure(row: Row, run: number): Promise<Figures> {
  const latencies: number[] = []
  let arrived = (): void => {}
  const all = new Promise<void>((resolve) => {
    arrived = resolve
  })
  const names = Array.from({ length: channels }, (_, at) => `bench:${run}:${at}`)
  await Promise.all(
    names.map(async (name) =>
      row.subscribe(name, (data) => {
        latencies.push(performance.now() - data.readDoubleLE(0))
        if (latencies.length === messages) arrived()
      }),
    ),
  )
  const cpu = process.cpuUsage()
  const startMs = performance.now()
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < messages) {
      const data = Buffer.alloc(200)
      data.writeDoubleLE(performance.now())
      await row.publish(names[next++ % channels] ?? '', data)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, worker))
  await all
  const seconds = (performance.now() - startMs) / 1000
  const { user, system } = process.cpuUsage(cpu)
  latencies.sort((a, b) => a - b)
  const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? 0
  return {
    perSecond: messages / seconds,
    cpuMicros: (user + system) / messages,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
  }
}

function median(values: readonly number[]): { middle: number; spread: string } {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted[Math.floor(sorted.length / 2)] ?? 0
  return { middle, spread: `${(sorted[0] ?? 0).toFixed(1)}-${(sorted.at(-1) ?? 0).toFixed(1)}` }
}

const redis = await startRedis()
const client = new Redis(redis.url)
const subscriber = new Redis(redis.url)
const handlers = new Map<string, (data: Buffer) => void>()
subscriber.on('messageBuffer', (name: Buffer, data: Buffer) => handlers.get(name.toString())?.(data))

const memory = createMemoryBroker()
const ordered = createRedisBroker({ client, prefix: 'bench' })
const listen =
  (broker: Pick<typeof memory, 'subscribe'>): Row['subscribe'] =>
  async (channel, onData) => {
    const onMessage = ({ data }: { data: Buffer }): void => onData(data)
    const subscription = await broker.subscribe(channel, { onMessage, onReset: () => {} })
    subscription.start()
  }
const rows: Record<string, Row> = {
  'bare ioredis PUBLISH (control)': {
    publish: async (channel, data) => client.publish(channel, data),
    subscribe: async (channel, onData) => {
      handlers.set(channel, onData)
      await subscriber.subscribe(channel)
    },
  },
  'Redis broker': {
    publish: async (channel, data) => ordered.publish(channel, data),
    subscribe: listen(ordered),
  },
  'memory broker': {
    publish: async (channel, data) => memory.publish(channel, data),
    subscribe: listen(memory),
  },
}

const figures = new Map<string, Figures[]>()
for (let round = 0; round <= rounds; round++)
  for (const [name, row] of Object.entries(rows)) {
    const figure = await measure(row, round)
    // The first round warms up.
    if (round > 0) figures.set(name, [...(figures.get(name) ?? []), figure])
  }

console.log(`${cpus().length} x ${cpus()[0]?.model}, Node ${process.version}, Redis on the same machine`)
console.log(
  `${messages} messages of 200 bytes, ${channels} channels, ${inFlight} in flight, ${rounds} rounds: median (spread)`,
)
for (const [name, list] of figures) {
  const cell = (key: keyof Figures): string => {
    const { middle, spread } = median(list.map((figure) => figure[key]))
    return `${middle.toFixed(1)} (${spread})`
  }
  console.log(
    `${name}: ${cell('perSecond')} msg/s, ${cell('cpuMicros')} us CPU, p50 ${cell('p50Ms')} ms, p99 ${cell('p99Ms')} ms`,
  )
}

await Promise.all([memory.close(), ordered.close()])
client.disconnect()
subscriber.disconnect()
redis.stop()
