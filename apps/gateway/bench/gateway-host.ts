/** One side of `observability.ts`: a gateway as `main.ts` makes it, or one that logs, counts and traces nothing. */
import { createLogger } from '@gw/observability/logger'
import { createMetrics, type Metrics } from '@gw/observability/metrics'
import { startTracing } from '@gw/observability/tracing'
import { loadConfig } from '../src/config.ts'
import { tracingOptionsOf } from '../src/observe/tracing-options.ts'
import { createGateway } from '../src/server.ts'

const isOn = process.argv[2] === 'on'
const nothing = (): void => {}
const noSeries = { inc: nothing, dec: nothing, set: nothing, observe: nothing, remove: nothing }

/** The same names without anything behind them. */
function silenced(metrics: Metrics): Metrics {
  return Object.fromEntries(
    Object.entries(metrics).map(([name, part]) => [
      name,
      typeof part === 'object' && 'inc' in part ? noSeries : 'observe' in part ? noSeries : part,
    ]),
  ) as unknown as Metrics
}

const config = loadConfig({ ...process.env, ...(!isOn && { LOG_LEVEL: 'error', LOG_MESSAGE_SAMPLE: '0' }) })
const names = { service: 'gateway', instanceId: 'bench' }
const logger = createLogger({ ...names, level: config.LOG_LEVEL })
const metrics = createMetrics({ defaultMetrics: isOn })
const version = '0.0.0'
if (isOn) startTracing({ ...tracingOptionsOf(config), serviceVersion: version, instanceId: 'bench' })
const gateway = createGateway({
  config,
  instanceId: 'bench',
  logger,
  audit: createLogger({ ...names, level: 'error' }),
  metrics: isOn ? metrics : silenced(metrics),
  hasMetricsPort: true,
  version,
})
process.on('message', () => {
  const { user, system } = process.cpuUsage()
  process.send?.({ cpuMicroseconds: user + system })
})
process.on('disconnect', () => process.exit(0))
process.send?.(await gateway.start())
