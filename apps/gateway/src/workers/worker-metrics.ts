/**
 * The metrics of all workers as one. Counters must not fall, or Prometheus takes it for a restart: those of a worker that is late
 * are the last known ones, those of a worker that is gone stay in the sum.
 *
 *   answered ▶ all it said · late ▶ counters and histograms of its last answer · gone ▶ the same, for ever
 */
import { aggregateMetrics, mergeSnapshots, type MetricsSnapshot } from '@gw/observability/metrics'

export interface WorkerMetricsOptions {
  /** Asks all workers that can answer, and returns their numbers. */
  readonly ask: (askId: number) => readonly number[]
  /** How long an answer is waited for. Default 2000. */
  readonly waitMs?: number
  /** Counters of a worker that is gone could not be joined with those before. */
  readonly onError: (error: unknown) => void
}

export interface WorkerMetrics {
  answered(worker: number, answer: { readonly askId: number; readonly snapshot: MetricsSnapshot }): void
  /** Its process has ended; the next one with this number begins at zero. */
  gone(worker: number): void
  /** In the Prometheus text format. */
  text(): Promise<string>
}

/** What only grows: the rest of a worker that says nothing is unknown. */
function countersOf(snapshot: MetricsSnapshot): MetricsSnapshot {
  return snapshot.filter(({ type }) => String(type) === 'counter' || String(type) === 'histogram')
}

export function createWorkerMetrics({ ask, waitMs = 2000, onError }: WorkerMetricsOptions): WorkerMetrics {
  const latest = new Map<number, { readonly askId: number; readonly snapshot: MetricsSnapshot }>()
  const waiting = new Map<number, Map<number, () => void>>()
  let past: MetricsSnapshot = []
  let lastAsk = 0

  return {
    answered(worker, answer) {
      latest.set(worker, answer)
      waiting.get(answer.askId)?.get(worker)?.()
    },
    gone(worker) {
      const last = latest.get(worker)
      latest.delete(worker)
      for (const asked of waiting.values()) asked.get(worker)?.()
      if (!last) return
      const parts = [past, countersOf(last.snapshot)]
      const joined = parts.flat()
      past = joined
      mergeSnapshots(parts).then((merged) => {
        // Of two that ended together the second joins both.
        if (past === joined) past = merged
      }, onError)
    },
    async text() {
      const askId = ++lastAsk
      const asked = new Map<number, () => void>()
      waiting.set(askId, asked)
      const answers = ask(askId).map((worker) => {
        const { promise, resolve } = Promise.withResolvers<void>()
        asked.set(worker, resolve)
        return promise
      })
      const late = setTimeout(() => {
        for (const resolve of asked.values()) resolve()
      }, waitMs)
      await Promise.all(answers)
      clearTimeout(late)
      waiting.delete(askId)
      // Read in one turn: who has answered and ended since is in the past, and nowhere else.
      const now = [...latest.values()].map((last) =>
        last.askId >= askId ? last.snapshot : countersOf(last.snapshot),
      )
      return aggregateMetrics([past, ...now])
    },
  }
}
