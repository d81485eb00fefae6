/**
 * The process that `observability.ts` measures: one gateway, made as `run-gateway.ts` makes it, whose logs, metrics and traces
 * go on and off between two turns. Whatever else makes two gateways of the same code differ is the same then.
 */
import { createLogger } from '@gw/observability/logger'
import { createMetrics, type Metrics } from '@gw/observability/metrics'
import { startTracing } from '@gw/observability/tracing'
import { ProxyTracerProvider, trace } from '@opentelemetry/api'
import { z } from 'zod'
import { loadConfig } from '../src/config.ts'
import { tracingOptionsOf } from '../src/observe/tracing-options.ts'
import { createGateway } from '../src/server.ts'

const switches = z.object({ logs: z.boolean(), metrics: z.boolean(), traces: z.boolean() })
/** What is on. */
export type Switches = z.infer<typeof switches>

let on: Switches = { logs: true, metrics: true, traces: true }

type Update = (first?: unknown, second?: unknown, third?: unknown) => unknown
const updates = ['inc', 'dec', 'set', 'observe', 'observeFor'] as const

function updatesOf(part: object): Record<string, Update> {
  const own = updates.flatMap((update): [string, Update][] => {
    const real: Update | undefined = Reflect.get(part, update)
    return real ? [[update, (a, b, c) => (on.metrics ? real.call(part, a, b, c) : undefined)]] : []
  })
  return Object.fromEntries(own)
}

/** The same series, which take nothing while metrics are off: they have no switch of their own. */
function switched(metrics: Metrics): Metrics {
  const series = Object.entries(metrics).map(([name, part]: [string, object]) => {
    const own = updatesOf(part)
    const of: ((labels: object) => object) | undefined = Reflect.get(part, 'of')
    if (of) own['of'] = (labels) => updatesOf(of.call(part, Object(labels)))
    return [name, Object.keys(own).length === 0 ? part : Object.assign(Object.create(part), own)]
  })
  return Object.fromEntries(series) as Metrics
}

const config = loadConfig(process.env)
const names = { service: 'gateway', instanceId: 'bench', redact: { fields: ['card', 'cards'] } }
const version = '0.0.0'
const logger = createLogger({ ...names, level: config.LOG_LEVEL })
const metrics = createMetrics({ logLinesDropped: logger.dropped })
const tracing = startTracing({
  ...tracingOptionsOf(config),
  serviceVersion: version,
  instanceId: 'bench',
  redact: names.redact,
  onDrop: ({ reason, count }) => metrics.spansDropped.inc({ reason }, count),
})
const registered = trace.getTracerProvider()
const provider = registered instanceof ProxyTracerProvider ? registered.getDelegate() : registered

function turn(to: Switches): void {
  if (to.traces !== on.traces) {
    if (to.traces) trace.setGlobalTracerProvider(provider)
    else trace.disable()
  }
  logger.setLevel(to.logs ? config.LOG_LEVEL : 'error')
  on = to
}

const gateway = createGateway({
  config,
  instanceId: 'bench',
  logger,
  audit: createLogger(names),
  metrics: switched(metrics),
  hasMetricsPort: true,
  version,
})
/** A message may turn the switches first. Lines and spans until then are written before, so that they count for their turn. */
async function answer(message: unknown): Promise<void> {
  tracing.writeEnded()
  await logger.flush(1000)
  const { success, data } = switches.safeParse(message)
  if (success) turn(data)
  const { user, system } = process.cpuUsage()
  process.send?.({ cpuMicroseconds: user + system })
}

process.on('message', (message) => void answer(message))
process.on('disconnect', () => process.exit(0))
process.send?.(await gateway.start())
