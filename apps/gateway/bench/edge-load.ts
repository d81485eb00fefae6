/** The load of one measurement, in a process of its own: as fast as it goes, or at a rate. Asked and answered by messages. */
import { Pool } from 'undici'

export interface LoadOrder {
  readonly url: string
  readonly path: string
  /** Used in turn: one set for each user. */
  readonly headers: readonly Readonly<Record<string, string>>[]
  readonly connections: number
  readonly seconds: number
  /** Requests per second, at even distances; without it each connection asks again as soon as it was answered. */
  readonly rate?: number
}

export interface LoadReport {
  readonly requests: number
  readonly failed: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** Of a run at a fixed rate, not counted. */
const settleMs = 1000

const percentile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN

async function run(order: LoadOrder): Promise<LoadReport> {
  const pool = new Pool(order.url, { connections: order.connections, pipelining: 1 })
  const latencies: number[] = []
  let failed = 0
  let asked = 0
  const ask = async (dueMs: number): Promise<void> => {
    const { statusCode, body } = await pool.request({
      path: order.path,
      method: 'GET',
      headers: order.headers[asked++ % order.headers.length] ?? {},
    })
    for await (const _ of body);
    if (statusCode !== 200) failed += 1
    else if (dueMs >= countsFrom) latencies.push(performance.now() - dueMs)
  }
  const startedAt = performance.now()
  // At a fixed rate the connections are opened first: 64 of them are more than a hundredth of a few seconds' requests.
  const countsFrom = order.rate === undefined ? startedAt : startedAt + settleMs
  const endAt = countsFrom + order.seconds * 1000
  if (order.rate === undefined) {
    const lane = async (): Promise<void> => {
      while (performance.now() < endAt) await ask(performance.now())
    }
    await Promise.all(Array.from({ length: order.connections }, lane))
  } else {
    const pending = new Set<Promise<void>>()
    const gapMs = 1000 / order.rate
    let dueMs = startedAt
    while (dueMs < endAt) {
      const now = performance.now()
      // Latency counts from when a request was due: a stall is felt by all that were due in it.
      for (; dueMs <= now && dueMs < endAt; dueMs += gapMs) {
        const running = ask(dueMs).catch(() => {
          failed += 1
        })
        pending.add(running)
        void running.then(() => pending.delete(running))
      }
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    await Promise.all(pending)
  }
  await pool.close()
  const sorted = latencies.toSorted((one, other) => one - other)
  return {
    requests: latencies.length,
    failed,
    p50Ms: percentile(sorted, 0.5),
    p99Ms: percentile(sorted, 0.99),
  }
}

process.on('message', (order: LoadOrder) => {
  run(order).then(
    (report) => process.send?.(report),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`)
      process.exit(1)
    },
  )
})
process.send?.('ready')
