/**
 * From events to log lines and metrics. Packages and handlers report, this records; what needs more than a line stands in
 * `observe/`. No other file of the gateway counts, logs or traces. Events are documented in `docs/log-events.md`.
 */
import type { AuthEvent } from '@gw/auth'
import type { RedisRevocationEvent } from '@gw/auth/redis'
import type { ChatEvent } from '@gw/chat'
import type { BrokerEvent, BrokerHealth } from '@gw/pubsub'
import type { RateLimitEvent } from '@gw/ratelimit'
import type { Logger } from '@gw/observability/logger'
import { setContext } from '@gw/observability/http'
import type { Metrics } from '@gw/observability/metrics'
import { activeSpan, recordFailure } from '@gw/observability/tracing'
import { closeCodes } from '@gw/protocol'
import { SpanStatusCode } from '@opentelemetry/api'
import type { BreakerState } from './grpc/backend-guard.ts'
import { BackendError, type CallRecord } from './grpc/service-client.ts'
import type { ProxiedService } from './http/proxies.ts'
import type { ProxyResult } from './http/proxy.ts'
import type { DailyBonusEvent } from './services/daily-bonus.ts'
import { type IngestEvent, malformedReasons } from './services/ingest-envelope.ts'
import type { SessionEventResult } from './services/session-events.ts'
import type { ClientSession } from './ws/client-session.ts'
import { clientTypeLabel, closeCodeLabel } from './observe/labels.ts'
import { createLineLimit } from './observe/line-limit.ts'
import { remembered } from './observe/remembered.ts'
import type { SessionEvent } from './ws/session.ts'
import type { SocketLife, SocketTraffic } from './ws/sockets.ts'
import type { UpgradeRefusal } from './ws/upgrade.ts'

export interface Observer {
  readonly onSession: (event: SessionEvent) => void
  readonly onClosed: (session: ClientSession, life: SocketLife) => void
  readonly onUpgradeRefused: (reason: UpgradeRefusal) => void
  readonly onBroker: (event: BrokerEvent | IngestEvent) => void
  readonly onAuth: (event: AuthEvent) => void
  readonly onRevocations: (event: RedisRevocationEvent) => void
  readonly onAuthFailure: (reason: string) => void
  readonly onCall: (call: CallRecord) => void
  readonly onBreaker: (service: string, state: BreakerState) => void
  readonly onRetry: (service: string) => void
  readonly onReconnect: (service: string) => void
  readonly onProxied: (service: ProxiedService, result: ProxyResult) => void
  readonly onRedis: (state: 'up' | 'down', error?: unknown) => void
  readonly onSessionEvent: (result: SessionEventResult) => void
  readonly onDefect: (error: unknown) => void
  readonly onFailure: (msg: string, error: unknown, context?: Readonly<Record<string, unknown>>) => void
  readonly onReaped: (connections: number) => void
  readonly onResume: (recovered: boolean) => void
  /** At each scrape: what is rather looked at than counted. */
  readonly onScrape: (state: GatewayState) => void
  readonly onLimit: (event: RateLimitEvent) => void
  readonly onChat: (event: ChatEvent) => void
  readonly onChannelReset: (channel: string, reason: string) => void
  readonly onDailyBonus: (event: DailyBonusEvent) => void
}

/** What the gateway is like at a moment. */
export interface GatewayState {
  readonly broker: BrokerHealth
  readonly sockets: number
  readonly traffic: SocketTraffic
  /** Live instances of the fleet. */
  readonly instances: number
  readonly sessionEventsQueued: number
}

/** A proxied service as a label: its gRPC side is another. */
const proxiedNames: Readonly<Record<ProxiedService, string>> = {
  game: 'game.http',
  player: 'player.http',
  balance: 'balance.http',
  event: 'event.http',
}

const breakerLevel: Readonly<Record<BreakerState, number>> = { closed: 0, half_open: 1, open: 2 }
/** Results of a message that are the gateway's or a backend's fault: their traces are kept. */
const failures: ReadonlySet<string> = new Set(['internal', 'unavailable', 'timeout', 'bad_gateway'])

/** Series whose labels are known appear with 0: an alert on their rate must not wait for the first time. */
function presetSeries(metrics: Metrics): void {
  for (const reason of ['epoch', 'trimmed', 'overflow']) metrics.channelResets.inc({ reason }, 0)
  for (const result of ['repaired', 'failed']) metrics.channelRepairs.inc({ result }, 0)
  for (const recovered of ['true', 'false']) metrics.channelResumes.inc({ recovered }, 0)
  for (const reason of malformedReasons) metrics.ingestMalformed.inc({ reason }, 0)
  for (const reason of ['overflow', 'refused', 'failed']) metrics.sessionEventsDropped.inc({ reason }, 0)
  for (const reason of ['queue_full', 'export_failed', 'shutdown']) metrics.spansDropped.inc({ reason }, 0)
  for (const service of ['game', 'player', 'event', 'notify', 'balance.http'])
    metrics.breakerState.set({ service }, 0)
}

export interface ObserverOptions {
  readonly logger: Logger
  readonly metrics: Metrics
  /** Share of client messages that get a log line, 0 to 1. */
  readonly messageSample: number
}

/** Records into `logger` and `metrics`. */
export function createObserver({ logger, metrics, messageSample }: ObserverOptions): Observer {
  presetSeries(metrics)
  // A backend that sends one broken envelope sends many.
  const malformedLine = createLineLimit({ everyMs: 60_000 })
  let traffic: SocketTraffic = { queuedBytes: 0, receivedBytes: 0, sentBytes: 0 }
  // What each request counts, found once.
  const limited = remembered((source: string) =>
    remembered((policy: string) =>
      remembered((decision: string) => metrics.rateLimitDecisions.of({ policy, decision, source })),
    ),
  )
  const proxied = remembered((backend: ProxiedService) => {
    const service = proxiedNames[backend]
    return {
      duration: metrics.upstreamRequestDuration.of({ service }),
      requests: remembered((code: string) => metrics.upstreamRequests.of({ service, method: 'proxy', code })),
    }
  })
  const about = (session: ClientSession) => ({ userId: session.userId, connectionId: session.connectionId })
  return {
    onSession(event) {
      switch (event.type) {
        case 'authenticated':
          setContext({ userId: event.session.userId })
          metrics.wsActiveConnections.inc({ client_type: event.session.clientType })
          logger.info('connection_opened', { ...about(event.session), clientType: event.session.clientType })
          return
        case 'auth_refused':
          metrics.authFailures.inc({ reason: event.reason })
          logger.info('connection_refused', { connectionId: event.connectionId, reason: event.reason })
          return
        case 'message': {
          const { messageType, result, seconds } = event
          const type = clientTypeLabel(messageType)
          metrics.wsMessagesReceived.inc({ type, result })
          metrics.wsMessageDuration.observe({ type }, seconds)
          const span = activeSpan()
          span?.setAttribute('ws.result', result)
          if (failures.has(result)) span?.setStatus({ code: SpanStatusCode.ERROR, message: result })
          const isSampled = Math.random() < messageSample
          if (isSampled || logger.isEnabled('debug'))
            logger[isSampled ? 'info' : 'debug']('message', {
              ...about(event.session),
              route: '/ws',
              type,
              result,
              durationMs: Math.round(seconds * 1e6) / 1000,
            })
          return
        }
        case 'paused':
          metrics.wsReadPauses.inc()
          return
        case 'failed':
          failSpan(event.error)
          logger.error('message_failed', {
            ...about(event.session),
            type: event.messageType,
            err: event.error,
          })
      }
    },
    onClosed(session, life) {
      const { code, durationMs } = life
      metrics.wsActiveConnections.dec({ client_type: session.clientType })
      metrics.wsSessionDuration.observe({ client_type: session.clientType }, durationMs / 1000)
      metrics.wsCloses.inc({ code: closeCodeLabel(code) })
      if (code === closeCodes.too_slow.code) metrics.wsSlowCloses.inc()
      logger.info('connection_closed', {
        ...about(session),
        route: '/ws',
        clientType: session.clientType,
        ...life,
        durationMs: Math.round(durationMs),
      })
    },
    onUpgradeRefused(reason) {
      metrics.wsUpgradesRefused.inc({ reason })
    },
    onBroker(event) {
      switch (event.type) {
        case 'joined':
          metrics.channelSubscriptions.inc()
          return
        case 'left':
          metrics.channelSubscriptions.dec()
          return
        case 'repaired':
          metrics.channelRepairs.inc({ result: 'repaired' })
          metrics.channelRepairedMessages.inc(event.messages)
          logger.info('channel_repaired', { channel: event.channel, messages: event.messages })
          return
        case 'duplicate':
          metrics.channelDuplicates.inc()
          return
        case 'reset':
          metrics.channelResets.inc({ reason: event.reason })
          logger.warn('channel_reset', { channel: event.channel, reason: event.reason })
          return
        case 'ingest_malformed': {
          const { reason, sourceId } = event
          metrics.ingestMalformed.inc({ reason })
          const count = malformedLine(reason)
          if (count > 0) logger.warn('ingest_malformed', { reason, sourceId: sourceId?.slice(0, 64), count })
          return
        }
        case 'link':
          if (event.status === 'rebuilt') metrics.pubsubRebuilds.inc()
          logger.info('pubsub_link', { status: event.status })
          return
        case 'resubscribed':
          logger.info('pubsub_resubscribed', { channels: event.channels, durationMs: event.durationMs })
          return
        case 'error':
          metrics.redisErrors.inc({ kind: event.stage })
          if (event.stage === 'repair') metrics.channelRepairs.inc({ result: 'failed' })
          logger.warn('pubsub_error', { stage: event.stage, channel: event.channel, err: event.error })
      }
    },
    onAuth(event) {
      switch (event.type) {
        case 'keys_loaded':
          metrics.authKeyFetches.inc({ result: 'ok' })
          logger.info('auth_keys_loaded', { source: event.source, keys: event.keys })
          return
        case 'keys_failed':
          metrics.authKeyFetches.inc({ result: event.reason })
          logger.warn('auth_keys_failed', { source: event.source, reason: event.reason, ageMs: event.ageMs })
          return
        case 'key_skipped':
          logger.warn('auth_key_skipped', { source: event.source, reason: event.reason })
          return
        case 'revoked':
          logger.info('auth_revoked', { kind: event.kind })
          return
        case 'listener_failed':
          logger.error('auth_listener_failed', { err: event.error })
      }
    },
    onRevocations(event) {
      switch (event.type) {
        case 'store_failed':
          metrics.redisErrors.inc({ kind: 'revocations' })
          return
        case 'store_restored':
          logger.warn('revocations_restored', { revocations: event.revocations })
          return
        case 'list_full':
          logger.error('revocations_full')
      }
    },
    onAuthFailure(reason) {
      metrics.authFailures.inc({ reason })
    },
    onCall({ service, method, code, seconds }) {
      metrics.upstreamRequests.inc({ service, method, code: String(code) })
      metrics.upstreamRequestDuration.observe({ service }, seconds)
    },
    onBreaker(service, state) {
      metrics.breakerState.set({ service }, breakerLevel[state])
      logger.warn('breaker', { backend: service, state })
    },
    onRetry(service) {
      metrics.upstreamRetries.inc({ service })
    },
    onReconnect(service) {
      logger.warn('backend_reconnected', { backend: service })
    },
    onProxied(backend, { code, seconds }) {
      const { duration, requests } = proxied(backend)
      requests(code).inc()
      duration.observe(seconds)
    },
    onRedis(state, error) {
      metrics.redisUp.set(state === 'up' ? 1 : 0)
      if (state === 'up') logger.info('redis_up')
      else logger.warn('redis_down', { err: error })
    },
    onSessionEvent(result) {
      const { eventType } = result
      switch (result.type) {
        case 'sent':
          metrics.sessionEventsSent.inc()
          return
        case 'dropped':
        case 'refused':
          metrics.sessionEventsDropped.inc({ reason: result.type === 'refused' ? 'refused' : 'overflow' })
          return
        case 'refused_first':
          metrics.sessionEventsDropped.inc({ reason: 'refused' })
          logger.warn('session_event_refused', { eventType, err: result.error })
          return
        case 'given_up':
          metrics.sessionEventsDropped.inc({ reason: 'failed' })
          logger.warn('session_event_given_up', { eventType, err: result.error })
          return
        case 'failed':
          logger.warn('session_event_failed', { eventType, err: result.error })
      }
    },
    onDefect(error) {
      logger.error('request_failed', { err: error })
    },
    onFailure(msg, error, context) {
      const status = error instanceof BackendError ? { grpcStatus: error.status } : {}
      logger.warn(msg, { ...context, ...status, err: error })
    },
    onLimit(event) {
      switch (event.type) {
        case 'decision':
          for (const { policy, allowed } of event.decision.results)
            limited(event.decision.source)(policy)(allowed ? 'allowed' : 'refused').inc()
          return
        case 'store-error':
          metrics.redisErrors.inc({ kind: 'ratelimit' })
          return
        case 'new-key-capped':
          metrics.rateLimitCapped.inc({ policy: event.policy })
          return
        case 'store-state':
          logger.warn('ratelimit_store', { available: event.available })
      }
    },
    onChat(event) {
      switch (event.type) {
        case 'accepted':
          metrics.chatMessages.inc({ result: 'accepted' })
          return
        case 'refused':
          metrics.chatMessages.inc({ result: event.reason })
          return
        case 'check_failed':
          logger.warn('chat_check_failed', {
            check: event.check,
            outcome: event.outcome,
            userId: event.userId,
            err: event.error,
          })
          return
        case 'backend_failed':
          logger.error('chat_backend_failed', { stage: event.stage, err: event.error })
      }
    },
    onChannelReset(_channel, reason) {
      // The channel's own resets are counted where they are made, once; this one is of a single socket.
      if (reason === 'overflow') metrics.channelResets.inc({ reason })
    },
    onReaped(connections) {
      metrics.reapedConnections.inc(connections)
      logger.warn('connections_reaped', { connections })
    },
    onResume(recovered) {
      metrics.channelResumes.inc({ recovered: String(recovered) })
    },
    onDailyBonus({ type, userId, status, error }) {
      if (type === 'granted') logger.info('daily_bonus_granted', { userId })
      else logger.warn('daily_bonus_failed', { userId, status, err: error })
    },
    onScrape({ broker, sockets, instances, sessionEventsQueued, traffic: now }) {
      metrics.pubsubUp.set(broker.ok ? 1 : 0)
      if (broker.probeAgeMs !== undefined) metrics.pubsubProbeAge.set(broker.probeAgeMs / 1000)
      metrics.wsOpenSockets.set(sockets)
      metrics.instances.set(instances)
      metrics.sessionEventsQueued.set(sessionEventsQueued)
      metrics.wsQueueBytes.set(now.queuedBytes)
      metrics.wsReceivedBytes.inc(now.receivedBytes - traffic.receivedBytes)
      metrics.wsSentBytes.inc(now.sentBytes - traffic.sentBytes)
      traffic = now
    },
  }
}

function failSpan(error: unknown): void {
  const span = activeSpan()
  if (span) recordFailure(span, error)
}
