/** One instance in this process, alone or as a worker: start, signals, exit code. */
import cluster from 'node:cluster'
import { randomUUID } from 'node:crypto'
import { setFlagsFromString } from 'node:v8'
import { useSendAll } from '@gw/connections'
import { createLogger } from '@gw/observability/logger'
import { createMetrics } from '@gw/observability/metrics'
import { startTracing } from '@gw/observability/tracing'
import { missingBecause, sendAll } from '@gw/send-all'
import type { Config } from './config.ts'
import { tracingOptionsOf } from './observe/tracing-options.ts'
import { createGateway, type GatewayHooks } from './server.ts'
import { joinSupervisor } from './workers/worker-link.ts'

const serviceVersion = '0.1.0'

/** Starts the gateway; signals, or the process that started this one, end it. */
export async function runGateway(config: Config, hooks: GatewayHooks): Promise<void> {
  const instanceId = config.INSTANCE_ID ?? randomUUID()
  const redact = { fields: ['card', 'cards'] }
  const logger = createLogger({ service: 'gateway', instanceId, level: config.LOG_LEVEL, redact })
  // Each line at once: what an operator did must not be lost with a process that is killed for it.
  const audit = createLogger({ service: 'gateway', instanceId, level: 'info', redact, joinMs: 0 })
  const metrics = createMetrics({ logLinesDropped: logger.dropped })
  const tracing = startTracing({
    ...tracingOptionsOf(config),
    serviceVersion,
    instanceId,
    redact,
    onDrop: ({ reason, count }) => metrics.spansDropped.inc({ reason }, count),
  })
  metrics.buildInfo.set({ version: serviceVersion, node: process.version }, 1)
  // Threads that help to collect young objects must be waited for; on taken cores that is a stall of tens of ms (docs/http.md).
  setFlagsFromString('--no-parallel-scavenge')
  // One for the process, as its event loop is.
  if (config.NATIVE_SEND) useSendAll(sendAll)
  const gateway = createGateway({
    config,
    instanceId,
    logger,
    audit,
    metrics,
    version: serviceVersion,
    hasMetricsPort: cluster.isPrimary,
    hooks,
  })
  let stopping = false

  async function end(): Promise<void> {
    await gateway.stop()
    await tracing.shutdown(1000)
    logger.info('stopped')
    await logger.flush(500)
    await audit.flush(500)
  }

  const stop = (signal: string): void => {
    // A second signal means now; a worker hears of the first one twice when its whole group was signalled.
    if (stopping && cluster.isPrimary) process.exit(1)
    if (stopping) return
    stopping = true
    logger.info('stopping', { signal })
    // Whatever still waits by then waits in vain: an orchestrator would end us without a word.
    setTimeout(() => {
      logger.error('stop_late', { afterMs: config.SHUTDOWN_TIMEOUT_MS })
      process.exit(1)
    }, config.SHUTDOWN_TIMEOUT_MS).unref()
    end().then(
      () => process.exit(0),
      (error: unknown) => {
        logger.error('stop_failed', { err: error })
        process.exit(1)
      },
    )
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  process.on('unhandledRejection', (error) => logger.error('unhandled_rejection', { err: error }))

  const parent = joinSupervisor({ onStop: stop, snapshot: () => gateway.snapshot() })
  const ports = await gateway.start()
  parent?.started(ports)
  const store = config.REDIS_URL === undefined ? 'memory' : 'redis'
  const nativeSend = config.NATIVE_SEND ? (missingBecause ?? 'on') : 'off'
  const started = { ...ports, store, node: process.version, nativeSend }
  logger.info(parent ? 'worker_started' : 'started', started)
}
