/** The sum of what workers count, when some are late or gone. */
import { createMetrics, type MetricsSnapshot } from '@gw/observability/metrics'
import { expect, test } from 'vitest'
import { createWorkerMetrics } from '../src/workers/worker-metrics.ts'

/** Of a worker that closed so many slow sockets; each has one open. */
function snapshotOf(slowCloses: number): Promise<MetricsSnapshot> {
  const metrics = createMetrics({ defaultMetrics: false })
  metrics.wsSlowCloses.inc(slowCloses)
  metrics.wsOpenSockets.set(1)
  metrics.wsSessionDuration.observe({ client_type: 'web' }, 1)
  return metrics.snapshot()
}

/** What the scrape says of slow closes, ended sessions and open sockets. */
async function sums(text: Promise<string>): Promise<readonly (number | undefined)[]> {
  const lines = (await text).split('\n')
  const names = ['ws_slow_closes_total', 'ws_session_duration_seconds_count', 'ws_open_sockets']
  return names.map((name) => {
    const line = lines.find((each) => each.startsWith(`gateway_${name}`))
    return line === undefined ? undefined : Number(line.split(' ').at(-1))
  })
}

function workers(numbers: readonly number[], waitMs: number) {
  let askId = 0
  const metrics = createWorkerMetrics({
    ask(id) {
      askId = id
      return numbers
    },
    waitMs,
    onError: (error) => {
      throw error
    },
  })
  return {
    ...metrics,
    answer: (worker: number, snapshot: MetricsSnapshot) => metrics.answered(worker, { askId, snapshot }),
  }
}

// Nobody waits for it in these tests.
const longMs = 60_000

test('a worker that is late counts what it last said; what it has open is unknown', async () => {
  const pair = workers([1, 2], 20)
  const [five, seven, eight] = await Promise.all([5, 7, 8].map(snapshotOf))
  if (!five || !seven || !eight) throw new Error('no snapshots')
  const before = pair.text()
  pair.answer(1, five)
  pair.answer(2, seven)
  expect(await sums(before)).toEqual([12, 2, 2])
  const during = pair.text()
  pair.answer(2, eight)
  expect(await sums(during)).toEqual([13, 2, 1])
})

test('a worker that answers and ends before the others have answered counts once', async () => {
  const pair = workers([1, 2], longMs)
  const [five, seven] = await Promise.all([5, 7].map(snapshotOf))
  if (!five || !seven) throw new Error('no snapshots')
  const during = pair.text()
  pair.answer(1, five)
  pair.gone(1)
  pair.answer(2, seven)
  expect(await sums(during)).toEqual([12, 2, 1])
})

test('a worker that ends without an answer is not waited for, and stays in the sum', async () => {
  const pair = workers([1, 2], longMs)
  const [five, seven] = await Promise.all([5, 7].map(snapshotOf))
  if (!five || !seven) throw new Error('no snapshots')
  pair.answer(1, five)
  const during = pair.text()
  pair.answer(2, seven)
  pair.gone(1)
  expect(await sums(during)).toEqual([12, 2, 1])
})

test('workers that end together are in every sum from then on', async () => {
  const none = workers([], longMs)
  const all = await Promise.all([5, 7, 9].map(snapshotOf))
  all.forEach((snapshot, at) => none.answer(at + 1, snapshot))
  // One scrape for each step in which their counters are joined.
  const texts: Promise<string>[] = []
  for (let step = 1; step <= 200; step++) {
    if (step <= 3) none.gone(step)
    if (step >= 3) texts.push(none.text())
    await Promise.resolve()
  }
  for (const text of texts) expect(await sums(text)).toEqual([21, 3, undefined])
})
