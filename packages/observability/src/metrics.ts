/** The gateway's series, on prom-client. All names, labels and buckets are here; the README's table is checked against it. */
import { totalmem } from 'node:os'
import { getHeapStatistics } from 'node:v8'
import {
  AggregatorRegistry,
  collectDefaultMetrics,
  Counter,
  Gauge,
  type Histogram,
  type LabelValues,
  Registry,
} from 'prom-client'
import { requireOption } from './errors.ts'
import {
  type BoundTracedHistogram,
  openMetricsText,
  TracedHistogram,
  type TracedHistogramOf,
} from './exemplars.ts'
import { type BoundHistogram, QuickCounter, QuickGauge, QuickHistogram } from './series.ts'

export type { BoundHistogram, BoundTracedHistogram }
export { ObservabilityError, type ObservabilityErrorCode } from './errors.ts'
export { createMetricsServer, type MetricsServer, type MetricsServerOptions } from './metrics-server.ts'

/** Options of `createMetrics`; all have defaults. */
export interface MetricsOptions {
  /** Starts each name. Default `gateway_`. */
  readonly prefix?: string
  /** Also the `process_*` and `nodejs_*` series, `memory_limit_bytes` and `heap_used_ratio`. Default true. */
  readonly defaultMetrics?: boolean
  /** Read at each scrape for `log_lines_dropped_total`: `logger.dropped`. */
  readonly logLinesDropped?: () => number
}

interface CounterOf<T extends string = never> extends Pick<Counter<T>, 'inc'> {
  /** For one set of label values that comes often: nothing is looked up for its `inc`. */
  readonly of: (labels: LabelValues<T>) => BoundCounter
}
type GaugeOf<T extends string = never> = Pick<Gauge<T>, 'inc' | 'dec' | 'set' | 'remove'>
interface HistogramOf<T extends string = never> extends Pick<Histogram<T>, 'observe'> {
  readonly of: (labels: LabelValues<T>) => BoundHistogram
}

/** A counter whose labels are known. */
export interface BoundCounter {
  inc(value?: number): void
}

/**
 * The series, on prom-client. Label values must come from a closed list: pass anything else through
 * `boundedLabel`. Counters are incremented once per batch (`inc(labels, n)`), never once per receiver.
 */
export interface Metrics {
  readonly registry: Registry
  readonly buildInfo: GaugeOf<'version' | 'node'>
  readonly instances: GaugeOf
  readonly wsActiveConnections: GaugeOf<'client_type'>
  readonly wsOpenSockets: GaugeOf
  readonly wsSessionDuration: HistogramOf<'client_type'>
  readonly httpRequestDuration: TracedHistogramOf<'method' | 'route' | 'status'>
  readonly httpRequestsInFlight: GaugeOf
  readonly wsUpgradesRefused: CounterOf<'reason'>
  readonly wsCloses: CounterOf<'code'>
  readonly wsSlowCloses: CounterOf
  readonly wsMessagesReceived: CounterOf<'type' | 'result'>
  readonly wsMessageDuration: TracedHistogramOf<'type'>
  readonly wsMessagesSent: CounterOf<'type' | 'result'>
  readonly wsReceivedBytes: CounterOf
  readonly wsSentBytes: CounterOf
  readonly wsQueueBytes: GaugeOf
  readonly wsReadPauses: CounterOf
  readonly fanoutConnections: HistogramOf<'kind'>
  readonly fanoutDuration: HistogramOf<'kind'>
  readonly publishToDeliver: TracedHistogramOf<'kind'>
  readonly channelPublishes: CounterOf<'kind' | 'result'>
  readonly channelSubscriptions: GaugeOf
  readonly channelRepairs: CounterOf<'result'>
  readonly channelRepairedMessages: CounterOf
  readonly channelDuplicates: CounterOf
  readonly channelResets: CounterOf<'reason'>
  readonly channelResumes: CounterOf<'recovered'>
  readonly pubsubUp: GaugeOf
  readonly pubsubProbeAge: GaugeOf
  readonly pubsubRebuilds: CounterOf
  readonly chatMessages: CounterOf<'result'>
  readonly rateLimitDecisions: CounterOf<'policy' | 'decision' | 'source'>
  readonly rateLimitCapped: CounterOf<'policy'>
  readonly authFailures: CounterOf<'reason'>
  readonly authKeyFetches: CounterOf<'result'>
  readonly upstreamRequests: CounterOf<'service' | 'method' | 'code'>
  readonly upstreamRequestDuration: TracedHistogramOf<'service'>
  readonly upstreamRetries: CounterOf<'service'>
  readonly breakerState: GaugeOf<'service'>
  readonly redisUp: GaugeOf
  readonly redisCommandDuration: HistogramOf<'command'>
  readonly redisErrors: CounterOf<'kind'>
  readonly sessionEventsQueued: GaugeOf
  readonly sessionEventsSent: CounterOf
  readonly sessionEventsDropped: CounterOf<'reason'>
  readonly reapedConnections: CounterOf
  readonly ingestMalformed: CounterOf<'reason'>
  readonly logLinesDropped: Pick<Counter, 'inc'>
  readonly spansDropped: CounterOf<'reason'>
  readonly ready: GaugeOf
  /** The registry in the Prometheus text format 0.0.4. */
  readonly text: () => Promise<string>
  /** The registry in OpenMetrics 1.0.0, where buckets carry the id of a trace that fell into them. */
  readonly openMetrics: () => Promise<string>
  /** This process's values as data, for `aggregateMetrics` in another process. */
  readonly snapshot: () => Promise<MetricsSnapshot>
}

/** The values of one process: plain data that survives `process.send`. */
export type MetricsSnapshot = Awaited<ReturnType<Registry['getMetricsAsJSON']>>

const fastSeconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

// Gauges that prom-client names like counters. `promtool check metrics` refuses them, and `nodejs_active_handles`,
// `nodejs_active_requests` and `nodejs_active_resources` say the same by type.
const misnamedDefaults = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
]

// Of several processes one may be ill: a mean would hide it. prom-client takes the mean of the lag, and leaves the start out.
const worstOfDefaults = [
  'nodejs_eventloop_lag_seconds',
  'nodejs_eventloop_lag_mean_seconds',
  'nodejs_eventloop_lag_stddev_seconds',
  'nodejs_eventloop_lag_p50_seconds',
  'nodejs_eventloop_lag_p90_seconds',
  'nodejs_eventloop_lag_p99_seconds',
  'process_start_time_seconds',
]

/** What the kernel lets this process have, with all others of its container. */
function memoryLimitBytes(): number {
  // 0 where it cannot be known, more than there is where nothing is set.
  const limit = process.constrainedMemory()
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem()
}

function heapUsedRatio(): number {
  const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics()
  return used / limit
}

/** A new registry with all series in it; nothing is shared with prom-client's global one. Throws `invalid_option`. */
export function createMetrics(options: MetricsOptions = {}): Metrics {
  const { prefix = 'gateway_', defaultMetrics = true, logLinesDropped } = options
  requireOption(/^[a-z][a-z0-9_]*_$/.test(prefix), 'prefix must be lower-case words that end in _')
  const registry = new Registry()
  if (defaultMetrics) {
    collectDefaultMetrics({ register: registry })
    for (const name of misnamedDefaults) registry.removeSingleMetric(name)
    for (const name of worstOfDefaults)
      Object.assign(registry.getSingleMetric(name) ?? {}, { aggregator: 'max' })
  }
  const series = <T extends string>(name: string, help: string, labelNames: readonly T[] = []) => ({
    name: prefix + name,
    help,
    labelNames,
    registers: [registry],
  })
  const counter = <T extends string = never>(
    name: string,
    help: string,
    labels?: readonly T[],
  ): CounterOf<T> => new QuickCounter(series(name, help, labels))
  const gauge = <T extends string = never>(name: string, help: string, labels?: readonly T[]): GaugeOf<T> =>
    labels ? new Gauge(series(name, help, labels)) : new QuickGauge(series(name, help))
  // Over several processes the sum of these means nothing: one of them counts, mostly the worst.
  const worst = <T extends string = never>(
    spec: ReturnType<typeof series<T>>,
    aggregator: 'min' | 'max' | 'first',
  ): Gauge<T> => new Gauge({ ...spec, aggregator })
  const traced = <T extends string = never>(
    spec: ReturnType<typeof series<T>>,
    buckets: number[],
  ): TracedHistogramOf<T> => new TracedHistogram({ ...spec, buckets })
  const histogram = <T extends string = never>(
    spec: ReturnType<typeof series<T>>,
    buckets: number[],
  ): HistogramOf<T> => new QuickHistogram({ ...spec, buckets })

  // Read at each scrape: nobody else sets it.
  const looked = (spec: ReturnType<typeof series>, aggregator: 'sum' | 'max', look: () => number): void => {
    void new Gauge({
      ...spec,
      aggregator,
      collect() {
        this.set(look())
      },
    })
  }

  const metrics: Metrics = {
    registry,
    buildInfo: worst(
      series('build_info', 'Always 1; what runs is in the labels.', ['version', 'node']),
      'first',
    ),
    instances: worst(series('instances', 'Live instances of the fleet, as seen from here.'), 'max'),
    wsActiveConnections: gauge('ws_active_connections', 'Open authenticated sockets.', ['client_type']),
    wsOpenSockets: gauge('ws_open_sockets', 'Open sockets, authenticated or not.'),
    wsSessionDuration: histogram(
      series('ws_session_duration_seconds', 'Life of a socket, observed when it closes.', ['client_type']),
      [1, 5, 10, 30, 60, 120, 300, 600, 1800],
    ),
    httpRequestDuration: traced(
      series('http_request_duration_seconds', 'HTTP requests by route pattern.', [
        'method',
        'route',
        'status',
      ]),
      [0.005, 0.01, 0.05, 0.1, 0.2, 0.5, 1, 2, 5],
    ),
    httpRequestsInFlight: gauge('http_requests_in_flight', 'HTTP requests without their whole answer.'),
    wsUpgradesRefused: counter('ws_upgrades_refused_total', 'Sockets refused before the upgrade.', [
      'reason',
    ]),
    wsCloses: counter('ws_closes_total', 'Closed sockets by close code.', ['code']),
    wsSlowCloses: counter('ws_slow_closes_total', 'Sockets closed because they read too slowly.'),
    wsMessagesReceived: counter('ws_messages_received_total', 'Client messages by type and outcome.', [
      'type',
      'result',
    ]),
    wsMessageDuration: traced(
      series('ws_message_duration_seconds', 'From a client message to the end of its handling.', ['type']),
      fastSeconds,
    ),
    wsMessagesSent: counter('ws_messages_sent_total', 'Frames for clients by type and outcome.', [
      'type',
      'result',
    ]),
    wsReceivedBytes: counter('ws_received_bytes_total', 'Bytes of client messages.'),
    wsSentBytes: counter('ws_sent_bytes_total', 'Bytes of frames written to sockets.'),
    wsQueueBytes: gauge('ws_queue_bytes', 'Bytes waiting in the outbound queues of all sockets.'),
    wsReadPauses: counter(
      'ws_read_pauses_total',
      'Times that a socket was not read, its inbound queue full.',
    ),
    fanoutConnections: histogram(
      series('fanout_connections', 'Local receivers of one channel message.', ['kind']),
      [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 20_000],
    ),
    fanoutDuration: histogram(
      series('fanout_duration_seconds', 'From a message off the log to its last local write.', ['kind']),
      fastSeconds,
    ),
    publishToDeliver: traced(
      series('publish_to_deliver_seconds', 'From the publish to the local fan-out, clocks of two hosts.', [
        'kind',
      ]),
      fastSeconds,
    ),
    channelPublishes: counter('channel_publishes_total', 'Messages that this instance put into a channel.', [
      'kind',
      'result',
    ]),
    channelSubscriptions: gauge('channel_subscriptions', 'Channels with an upstream subscription.'),
    channelRepairs: counter('channel_repairs_total', 'Holes in seq that were read from the log.', ['result']),
    channelRepairedMessages: counter('channel_repaired_messages_total', 'Messages that came from a repair.'),
    channelDuplicates: counter('channel_duplicates_total', 'Messages dropped because their seq was seen.'),
    channelResets: counter('channel_resets_total', 'Channels whose continuity was lost.', ['reason']),
    channelResumes: counter('channel_resumes_total', 'Subscriptions with a position.', ['recovered']),
    pubsubUp: worst(series('pubsub_up', '1 while messages of channels come through.'), 'min'),
    pubsubProbeAge: worst(series('pubsub_probe_age_seconds', 'Since the last probe came back.'), 'max'),
    pubsubRebuilds: counter('pubsub_rebuilds_total', 'Upstream links torn down and rebuilt.'),
    chatMessages: counter('chat_messages_total', 'Chat lines of clients by outcome.', ['result']),
    rateLimitDecisions: counter('ratelimit_decisions_total', 'Limiter answers.', [
      'policy',
      'decision',
      'source',
    ]),
    rateLimitCapped: counter('ratelimit_capped_total', 'Keys limited here: too many new ones came up.', [
      'policy',
    ]),
    authFailures: counter('auth_failures_total', 'Refused credentials.', ['reason']),
    authKeyFetches: counter('auth_key_fetches_total', 'Key set fetches from the identity provider.', [
      'result',
    ]),
    upstreamRequests: counter('upstream_requests_total', 'Calls to backends.', ['service', 'method', 'code']),
    upstreamRequestDuration: traced(
      series('upstream_request_duration_seconds', 'Calls to backends, retries included.', ['service']),
      fastSeconds,
    ),
    upstreamRetries: counter('upstream_retries_total', 'Second and later attempts.', ['service']),
    breakerState: worst(series('breaker_state', '0 closed, 1 half-open, 2 open.', ['service']), 'max'),
    redisUp: worst(series('redis_up', '1 while Redis answers.'), 'min'),
    redisCommandDuration: histogram(
      series('redis_command_duration_seconds', 'Redis commands and scripts.', ['command']),
      fastSeconds,
    ),
    redisErrors: counter('redis_errors_total', 'Failed Redis commands.', ['kind']),
    sessionEventsQueued: gauge('session_events_queued', 'Session events waiting for the event service.'),
    sessionEventsSent: counter('session_events_sent_total', 'Session events taken by the event service.'),
    sessionEventsDropped: counter('session_events_dropped_total', 'Session events lost.', ['reason']),
    reapedConnections: counter('reaped_connections_total', 'Connections of dead instances cleaned up here.'),
    ingestMalformed: counter('ingest_malformed_total', 'Updates of backends that could not be read.', [
      'reason',
    ]),
    logLinesDropped: new Counter({
      ...series('log_lines_dropped_total', 'Log lines lost because the sink was not read.'),
      ...(logLinesDropped && {
        collect(this: Counter): void {
          this.reset()
          this.inc(logLinesDropped())
        },
      }),
    }),
    spansDropped: counter('spans_dropped_total', 'Spans lost.', ['reason']),
    ready: worst(series('ready', '1 while readiness holds.'), 'min'),
    text: () => registry.metrics(),
    openMetrics: () => openMetricsText(registry),
    snapshot: () => registry.getMetricsAsJSON(),
  }
  looked(series('workers', 'Processes that are counted in here.'), 'sum', () => 1)
  if (defaultMetrics) {
    const limit = 'Memory that all of them may use: of the container, else of the host.'
    looked(series('memory_limit_bytes', limit), 'max', memoryLimitBytes)
    looked(series('heap_used_ratio', "Share of V8's heap limit that is used, 0 to 1."), 'max', heapUsedRatio)
  }
  for (const clientType of ['web', 'mobile']) metrics.wsActiveConnections.set({ client_type: clientType }, 0)
  return metrics
}

/** `value` if it is one of `allowed`, else `other`: keeps a label that comes from outside bounded. */
export function boundedLabel(
  value: string | undefined,
  allowed: readonly string[] | ReadonlySet<string>,
  other: string = 'other',
): string {
  if (value === undefined) return other
  const known = 'has' in allowed ? allowed.has(value) : allowed.includes(value)
  return known ? value : other
}

/** The values of several processes as one, in the way of {@link aggregateMetrics}. */
export async function mergeSnapshots(snapshots: readonly MetricsSnapshot[]): Promise<MetricsSnapshot> {
  return AggregatorRegistry.aggregate([...snapshots]).getMetricsAsJSON()
}

/**
 * One exposition for several worker processes: counters, histograms and most gauges are summed; of what a sum would say
 * nothing about it has the worst process's value, or the first one's. The README lists them.
 */
export function aggregateMetrics(snapshots: readonly MetricsSnapshot[]): Promise<string> {
  return AggregatorRegistry.aggregate([...snapshots]).metrics()
}
