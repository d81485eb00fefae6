/**
 * Several workers on one host share the ports; each is an instance of its own, with its own lease and its own id.
 *
 *   first process: forks N workers ▶ hands accepted sockets round ▶ serves /metrics, the sum of all
 *   a worker ends: its sockets go elsewhere, its place is filled after 100 ms · 2ⁿ, at most 30 s
 *   SIGTERM:       every worker drains ▶ all gone, or killed when time is over ▶ exit 0 when all ended with 0
 *
 * node:cluster rather than SO_REUSEPORT: sockets that live for hours spread evenly by turns, not by the hash of an
 * address; what waits in a dead worker's accept queue is not lost; and the same works where the kernel has no such option.
 */
import { randomUUID } from 'node:crypto'
import cluster, { type Worker } from 'node:cluster'
import { createLogger } from '@gw/observability/logger'
import {
  aggregateMetrics,
  createMetricsServer,
  mergeSnapshots,
  type MetricsServer,
  type MetricsSnapshot,
} from '@gw/observability/metrics'
import type { Config } from '../config.ts'
import { isWorkerMessage, type ToWorker } from './worker-messages.ts'

interface Slot {
  readonly number: number
  worker: Worker | undefined
  /** A new id for each life: the lease of the one before must run out, so that its connections are cleaned up. */
  lives: number
  failures: number
  startedAtMs: number
  /** As of the last scrape. */
  snapshot: MetricsSnapshot | undefined
}

const firstPauseMs = 100
const longestPauseMs = 30_000
/** A worker that lived so long was well: the next pause is short again. */
const provenMs = 30_000
const scrapeMs = 2000

/** Runs until a signal has ended all workers; resolves with the exit code. */
export async function superviseWorkers(config: Config): Promise<number> {
  const fleetId = config.INSTANCE_ID ?? randomUUID().slice(0, 8)
  const logger = createLogger({ service: 'gateway', instanceId: fleetId, level: config.LOG_LEVEL })
  const slots: Slot[] = Array.from({ length: config.WORKERS }, (_, at) => ({
    number: at + 1,
    worker: undefined,
    lives: 0,
    failures: 0,
    startedAtMs: 0,
    snapshot: undefined,
  }))
  const pauses = new Set<NodeJS.Timeout>()
  const answers = new Map<number, Map<Slot, (snapshot: MetricsSnapshot | undefined) => void>>()
  const finished = Promise.withResolvers<number>()
  /** Counters of workers that are gone: without them the sums would fall. */
  let past: MetricsSnapshot = []
  let lastAsk = 0
  let started = 0
  let stopping = false
  let failed = false

  const send = (worker: Worker, message: ToWorker): void => {
    if (worker.isConnected()) worker.send(message)
  }

  function start(slot: Slot): void {
    slot.lives++
    slot.startedAtMs = Date.now()
    const worker = cluster.fork({ INSTANCE_ID: `${fleetId}-${slot.number}.${slot.lives}` })
    slot.worker = worker
    worker.on('message', (message: unknown) => {
      if (!isWorkerMessage(message)) return
      if (message.type === 'metrics' && 'snapshot' in message) {
        slot.snapshot = message.snapshot
        answers.get(message.askId)?.get(slot)?.(message.snapshot)
      }
      if (message.type !== 'started') return
      started++
      // Once, when all are there for the first time.
      if (started === slots.length) void ready(message.ports)
    })
    worker.on('error', (error) => logger.warn('worker_error', { worker: slot.number, err: error }))
    worker.once('exit', (code: number | null, signal: string | null) => gone(slot, { code, signal }))
  }

  function gone(
    slot: Slot,
    { code, signal }: { readonly code: number | null; readonly signal: string | null },
  ): void {
    slot.worker = undefined
    for (const waiting of answers.values()) waiting.get(slot)?.(undefined)
    bury(slot)
    if (code !== 0) failed = true
    if (stopping) {
      if (slots.every(({ worker }) => worker === undefined)) finished.resolve(failed ? 1 : 0)
      return
    }
    failed = false
    if (started === 0) {
      // Not one has ever stood: the port is taken, or something like it that another try does not mend.
      logger.error('worker_never_started', { worker: slot.number, code, signal })
      failed = true
      stop('start')
      return
    }
    slot.failures = Date.now() - slot.startedAtMs > provenMs ? 0 : slot.failures + 1
    const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** slot.failures)
    logger.error('worker_exited', { worker: slot.number, code, signal, restartInMs: pauseMs })
    const timer = setTimeout(() => {
      pauses.delete(timer)
      start(slot)
    }, pauseMs)
    pauses.add(timer)
  }

  function bury(slot: Slot): void {
    const counters = slot.snapshot?.filter(
      ({ type }) => String(type) === 'counter' || String(type) === 'histogram',
    )
    slot.snapshot = undefined
    if (!counters) return
    const before = past
    past = [...before, ...counters]
    mergeSnapshots([before, counters]).then(
      (merged) => (past = merged),
      (error: unknown) => logger.warn('worker_metrics_lost', { err: error }),
    )
  }

  function stop(signal: string): void {
    if (stopping) {
      // A second signal means now.
      for (const { worker } of slots) worker?.process.kill('SIGKILL')
      return
    }
    stopping = true
    logger.info('stopping', { signal, workers: slots.length })
    for (const timer of pauses) clearTimeout(timer)
    for (const { worker } of slots) if (worker) send(worker, { type: 'stop', signal })
    setTimeout(() => {
      for (const { worker } of slots) worker?.process.kill('SIGKILL')
    }, config.SHUTDOWN_TIMEOUT_MS + 1000).unref()
    if (slots.every(({ worker }) => worker === undefined)) finished.resolve(failed ? 1 : 0)
  }

  /** A worker that does not answer is left out of this scrape; it is no reason to have none. */
  async function scrape(): Promise<string> {
    const askId = ++lastAsk
    const waiting = new Map<Slot, (snapshot: MetricsSnapshot | undefined) => void>()
    answers.set(askId, waiting)
    const asked = slots.flatMap((slot) => {
      const { worker } = slot
      if (!worker) return []
      const { promise, resolve } = Promise.withResolvers<MetricsSnapshot | undefined>()
      const late = setTimeout(() => resolve(undefined), scrapeMs)
      waiting.set(slot, resolve)
      send(worker, { type: 'metrics', askId })
      return [promise.finally(() => clearTimeout(late))]
    })
    const snapshots = await Promise.all(asked)
    answers.delete(askId)
    return aggregateMetrics([past, ...snapshots.filter((snapshot) => snapshot !== undefined)])
  }

  const metricsServer: MetricsServer = createMetricsServer({
    metrics: { text: scrape },
    host: config.METRICS_HOST,
    port: config.METRICS_PORT,
  })
  const metricsPort = await metricsServer.listen()

  async function ready(ports: object): Promise<void> {
    logger.info('started', {
      ...ports,
      metricsPort,
      workers: slots.length,
      store: 'redis',
      node: process.version,
    })
  }

  process.on('SIGTERM', () => stop('SIGTERM'))
  process.on('SIGINT', () => stop('SIGINT'))
  for (const slot of slots) start(slot)
  const code = await finished.promise
  await metricsServer.close()
  logger.info('stopped')
  await logger.flush(500)
  return code
}
