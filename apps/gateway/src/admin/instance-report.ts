/** What an instance says of itself: facts at hand, and one PING with a deadline. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { TokenVerifier } from '@gw/auth'
import type { RedisRevocationStore } from '@gw/auth/redis'
import type { ConnectionRegistry, Subscriptions } from '@gw/connections'
import type { Logger } from '@gw/observability/logger'
import type { Metrics } from '@gw/observability/metrics'
import type { Broker } from '@gw/pubsub'
import type { Backends } from '../grpc/backends.ts'
import type { Readiness } from '../http/health.ts'
import type { RedisClients } from '../redis.ts'
import type { HealthDetail, InstanceReport } from './command.ts'

/** Taken in, and closing for good, are one word each; between them an operator may empty an instance and fill it again. */
export type ServiceState = InstanceReport['state']

export interface InstanceReportOptions {
  readonly instanceId: string
  readonly version: string
  readonly state: () => ServiceState
  readonly readiness: Readiness
  readonly logger: Logger
  readonly metrics: Metrics
  readonly broker: Broker
  readonly redis: RedisClients | undefined
  readonly verifier: TokenVerifier
  readonly revocations: Pick<RedisRevocationStore, 'lastSyncMs'> | undefined
  readonly backends: Pick<Backends, 'states'>
  readonly sessionEvents: { readonly queued: number }
  readonly sockets: { readonly count: number }
  readonly registry: ConnectionRegistry
  readonly subscriptions: Subscriptions
}

/** Series whose sum over all labels goes into a report. */
const totals = {
  messagesIn: 'gateway_ws_messages_received_total',
  messagesOut: 'gateway_ws_messages_sent_total',
  bytesOut: 'gateway_ws_sent_bytes_total',
  httpRequests: 'gateway_http_request_duration_seconds',
  closes: 'gateway_ws_closes_total',
  slowCloses: 'gateway_ws_slow_closes_total',
  repairs: 'gateway_channel_repairs_total',
  duplicates: 'gateway_channel_duplicates_total',
  resets: 'gateway_channel_resets_total',
  authFailures: 'gateway_auth_failures_total',
  redisErrors: 'gateway_redis_errors_total',
} as const

const lagResolutionMs = 20

/** A counter's sum; a histogram's count. 0 for a series that isn't there. */
async function sumOf({ registry }: Metrics, name: string): Promise<number> {
  const found = await registry.getSingleMetric(name)?.get()
  let sum = 0
  for (const entry of found?.values ?? []) {
    const part = 'metricName' in entry ? entry.metricName : undefined
    if (part === undefined || part === name || part === `${name}_count`) sum += entry.value
  }
  return sum
}

async function pingMs(redis: RedisClients | undefined): Promise<number | undefined> {
  if (!redis?.isUp()) return undefined
  const startedAt = performance.now()
  try {
    await redis.commands.ping()
    return performance.now() - startedAt
  } catch {
    return undefined
  }
}

async function healthOf(options: InstanceReportOptions): Promise<HealthDetail> {
  const { redis, broker, verifier, revocations, backends, sessionEvents, logger } = options
  const ping = await pingMs(redis)
  const { ok, probeAgeMs, reason } = broker.health()
  const syncedAtMs = revocations?.lastSyncMs()
  return {
    redis: {
      configured: redis !== undefined,
      up: redis?.isUp() ?? false,
      ...(ping !== undefined && { pingMs: ping }),
    },
    pubsub: { ok, ...(probeAgeMs !== undefined && { probeAgeMs }), ...(reason !== undefined && { reason }) },
    keys: {
      ready: verifier.ready(),
      ...(syncedAtMs !== undefined &&
        Number.isFinite(syncedAtMs) && { revocationsAgeMs: Date.now() - syncedAtMs }),
    },
    backends: backends.states(),
    sessionEvents: { queued: sessionEvents.queued },
    logLinesDropped: logger.dropped(),
  }
}

/** Returns the function that makes a report. */
export function createInstanceReport(options: InstanceReportOptions): () => Promise<InstanceReport> {
  const { instanceId, version, readiness, logger, metrics, broker, registry, subscriptions } = options
  const startedAtMs = Math.round(performance.timeOrigin)
  const delay = monitorEventLoopDelay({ resolution: lagResolutionMs })
  delay.enable()

  /** Since the report before, above what the measuring itself waits. */
  function takeLagMs(): number {
    const p99Ms = delay.percentile(99) / 1e6
    delay.reset()
    return Math.max(0, p99Ms - lagResolutionMs)
  }

  return async () => {
    const [health, ...sums] = await Promise.all([
      healthOf(options),
      ...Object.values(totals).map((name) => sumOf(metrics, name)),
    ])
    const notReady = readiness.notReadyReason()
    return {
      instanceId,
      version,
      pid: process.pid,
      startedAtMs,
      nowMs: Date.now(),
      state: options.state(),
      ...(notReady !== undefined && { notReady }),
      logLevel: logger.level(),
      sockets: options.sockets.count,
      users: registry.userCount,
      channels: subscriptions.channelCount,
      subscriptions: broker.stats().subscriptions,
      memoryBytes: process.memoryUsage.rss(),
      eventLoopLagMs: takeLagMs(),
      totals: Object.fromEntries(Object.keys(totals).map((name, at) => [name, sums[at] ?? 0])),
      health,
    }
  }
}
