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
import { createMetricsServer, type MetricsServer } from '@gw/observability/metrics'
import type { Config } from '../config.ts'
import { isWorkerMessage, type ToWorker } from './worker-messages.ts'
import { createWorkerMetrics } from './worker-metrics.ts'

interface Slot {
  readonly number: number
  worker: Worker | undefined
  /** It hears what it is told; what it is told before is lost. */
  joined: boolean
  /** A new id for each life: the lease of the one before must run out, so that its connections are cleaned up. */
  lives: number
  failures: number
  startedAtMs: number
}

const firstPauseMs = 100
const longestPauseMs = 30_000
/** A worker that lived so long was well: the next pause is short again. */
const provenMs = 30_000

/** Runs until a signal has ended all workers; resolves with the exit code. */
export async function superviseWorkers(config: Config): Promise<number> {
  const fleetId = config.INSTANCE_ID ?? randomUUID().slice(0, 8)
  const logger = createLogger({ service: 'gateway', instanceId: fleetId, level: config.LOG_LEVEL })
  const slots: Slot[] = Array.from({ length: config.WORKERS }, (_, at) => ({
    number: at + 1,
    worker: undefined,
    joined: false,
    lives: 0,
    failures: 0,
    startedAtMs: 0,
  }))
  const pauses = new Set<NodeJS.Timeout>()
  const finished = Promise.withResolvers<number>()
  let started = 0
  /** Once it has come. */
  let stopSignal: string | undefined
  let failed = false

  const send = (worker: Worker, message: ToWorker): void => {
    if (worker.isConnected()) worker.send(message)
  }

  const metrics = createWorkerMetrics({
    ask: (askId) =>
      slots.flatMap(({ worker, joined, number }) => {
        if (!worker || !joined) return []
        send(worker, { type: 'metrics', askId })
        return [number]
      }),
    onError: (error) => logger.warn('worker_metrics_lost', { err: error }),
  })

  function start(slot: Slot): void {
    slot.lives++
    slot.startedAtMs = Date.now()
    const worker = cluster.fork({ INSTANCE_ID: `${fleetId}-${slot.number}.${slot.lives}` })
    slot.worker = worker
    slot.joined = false
    worker.on('message', (message: unknown) => {
      // What a worker said may come after its end, when it counts no more.
      if (!isWorkerMessage(message) || slot.worker !== worker) return
      switch (message.type) {
        case 'joined':
          slot.joined = true
          if (stopSignal !== undefined) send(worker, { type: 'stop', signal: stopSignal })
          break
        case 'metrics':
          if ('snapshot' in message) metrics.answered(slot.number, message)
          break
        case 'started':
          started++
          // Once, when all are there for the first time.
          if (started === slots.length) void ready(message.ports)
          break
        case 'stop':
      }
    })
    worker.on('error', (error) => logger.warn('worker_error', { worker: slot.number, err: error }))
    worker.once('exit', (code: number | null, signal: string | null) => gone(slot, { code, signal }))
  }

  function gone(
    slot: Slot,
    { code, signal }: { readonly code: number | null; readonly signal: string | null },
  ): void {
    slot.worker = undefined
    metrics.gone(slot.number)
    if (code !== 0) failed = true
    if (stopSignal !== undefined) {
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

  function stop(signal: string): void {
    if (stopSignal !== undefined) {
      // A second signal means now.
      for (const { worker } of slots) worker?.process.kill('SIGKILL')
      return
    }
    stopSignal = signal
    logger.info('stopping', { signal, workers: slots.length })
    for (const timer of pauses) clearTimeout(timer)
    for (const { worker, joined } of slots) if (worker && joined) send(worker, { type: 'stop', signal })
    setTimeout(() => {
      for (const { worker } of slots) worker?.process.kill('SIGKILL')
    }, config.SHUTDOWN_TIMEOUT_MS + 1000).unref()
    if (slots.every(({ worker }) => worker === undefined)) finished.resolve(failed ? 1 : 0)
  }

  const metricsServer: MetricsServer = createMetricsServer({
    metrics,
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
