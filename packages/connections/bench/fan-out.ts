/**
 * Fan-out: deliveries for each CPU-second of the serving process, and latency, beside control rows from the same run.
 *
 *   node --conditions=@gw/source bench/fan-out.ts [receivers] [seconds] [rounds]      default 1000 4 3
 *
 * Rows: `connections` this package; `ws.send` the ws library, one send per client; `socket.write` one prebuilt frame
 * written by hand to each socket: what Node allows without joining. Servers run in turn, in a process of their own;
 * receivers are raw sockets in another one that counts bytes. Latency is from when a message was due.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { cpus } from 'node:os'
import type { FanOutReport } from './fan-out-server.ts'

const [receivers = 1000, seconds = 4, rounds = 3] = process.argv.slice(2).map(Number)
const rows = ['connections', 'ws.send', 'socket.write']
const rates = [20, 100, 400]

interface Received {
  readonly bytes: number
  readonly p50Ms: number
  readonly p99Ms: number
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN

async function ask<T>(child: ReturnType<typeof fork>, message: object): Promise<T> {
  child.send(message)
  const [answer] = await once(child, 'message')
  return answer as T
}

async function run(row: string, rate: number): Promise<FanOutReport & Received> {
  const server = fork(new URL('fan-out-server.ts', import.meta.url), [row])
  const [{ port }] = await once(server, 'message')
  const clients = fork(new URL('fan-out-clients.ts', import.meta.url), [String(port), String(receivers)])
  await once(clients, 'message')
  await ask(server, { rate, seconds: 1 })
  await ask(clients, {})
  const report = await ask<FanOutReport>(server, { rate, seconds })
  const received = await ask<Received>(clients, {})
  server.kill()
  clients.kill()
  return { ...report, ...received }
}

console.log(
  `${cpus()[0]?.model}, ${cpus().length} cores, Node ${process.version}; ${receivers} receivers, 200 bytes, ${rounds} x ${seconds} s, medians`,
)
for (const rate of rates) {
  console.log(`\n${rate} messages/s`.padEnd(20), 'deliveries/s   per CPU-s (min..max)      p50 ms   p99 ms')
  const results = new Map<string, (FanOutReport & Received)[]>(rows.map((row) => [row, []]))
  for (let round = 0; round < rounds; round++)
    for (const row of rows) results.get(row)?.push(await run(row, rate))
  for (const [row, all] of results) {
    const perCpu = all.map(({ bytes, frameBytes, cpuSeconds }) => bytes / frameBytes / cpuSeconds)
    const perSecond = median(all.map(({ bytes, frameBytes }) => bytes / frameBytes / seconds))
    const spread = `(${Math.round(Math.min(...perCpu) / 1000)}k..${Math.round(Math.max(...perCpu) / 1000)}k)`
    console.log(
      row.padEnd(19),
      `${Math.round(perSecond)}`.padStart(12),
      `${Math.round(median(perCpu) / 1000)}k ${spread}`.padStart(26),
      median(all.map(({ p50Ms }) => p50Ms))
        .toFixed(1)
        .padStart(10),
      median(all.map(({ p99Ms }) => p99Ms))
        .toFixed(1)
        .padStart(8),
    )
  }
}
