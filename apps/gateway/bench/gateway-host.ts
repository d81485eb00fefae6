/** One side of `observability.ts`: a gateway made as `run-gateway.ts` makes it. Metrics have no switch: without `metrics` they are empty. */
import { createLogger } from '@gw/observability/logger'
import { createMetrics, type Metrics } from '@gw/observability/metrics'
import { startTracing } from '@gw/observability/tracing'
import { loadConfig } from '../src/config.ts'
import { tracingOptionsOf } from '../src/observe/tracing-options.ts'
import { createGateway } from '../src/server.ts'

const hasMetrics = process.argv.includes('metrics')
const nothing = (): void => {}
const noSeries = {
  inc: nothing,
  dec: nothing,
  set: nothing,
  observe: nothing,
  observeFor: nothing,
  remove: nothing,
}

/** The same names without anything behind them. */
function silenced(metrics: Metrics): Metrics {
  return Object.fromEntries(
    Object.entries(metrics).map(([name, part]) => [
      name,
      typeof part === 'object' && ('inc' in part || 'observe' in part) ? noSeries : part,
    ]),
  ) as unknown as Metrics
}

const config = loadConfig(process.env)
const names = { service: 'gateway', instanceId: 'bench', redact: { fields: ['card', 'cards'] } }
const logger = createLogger({ ...names, level: config.LOG_LEVEL })
const metrics = createMetrics({ defaultMetrics: hasMetrics, logLinesDropped: logger.dropped })
const version = '0.0.0'
startTracing({
  ...tracingOptionsOf(config),
  serviceVersion: version,
  instanceId: 'bench',
  redact: names.redact,
  onDrop: ({ reason, count }) => metrics.spansDropped.inc({ reason }, count),
})
const gateway = createGateway({
  config,
  instanceId: 'bench',
  logger,
  audit: createLogger(names),
  metrics: hasMetrics ? metrics : silenced(metrics),
  hasMetricsPort: true,
  version,
})
process.on('message', () => {
  const { user, system } = process.cpuUsage()
  process.send?.({ cpuMicroseconds: user + system })
})
process.on('disconnect', () => process.exit(0))
process.send?.(await gateway.start())
