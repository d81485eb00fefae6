/** From events to log lines and metrics: the only place that does it. Packages and handlers report, this records. */
import type { AuthEvent } from '@gw/auth'
import type { ChatEvent } from '@gw/chat'
import type { BrokerEvent, BrokerHealth } from '@gw/pubsub'
import type { RateLimitEvent } from '@gw/ratelimit'
import type { Logger } from '@gw/observability/logger'
import { boundedLabel, type Metrics } from '@gw/observability/metrics'
import { closeCodes } from '@gw/protocol'
import { clientSchemas } from '@gw/protocol/schemas'
import type { BreakerState } from './grpc/backend-guard.ts'
import { BackendError, type CallRecord } from './grpc/service-client.ts'
import type { DailyBonusEvent } from './services/daily-bonus.ts'
import type { SessionEventResult } from './services/session-events.ts'
import type { ClientSession } from './ws/client-session.ts'
import type { SessionEvent } from './ws/session.ts'
import type { UpgradeRefusal } from './ws/upgrade.ts'

export interface Observer {
  readonly onSession: (event: SessionEvent) => void
  readonly onClosed: (
    session: ClientSession,
    close: { readonly code: number; readonly durationMs: number },
  ) => void
  readonly onUpgradeRefused: (reason: UpgradeRefusal) => void
  readonly onBroker: (event: BrokerEvent) => void
  readonly onAuth: (event: AuthEvent) => void
  readonly onAuthFailure: (reason: string) => void
  readonly onCall: (call: CallRecord) => void
  readonly onBreaker: (service: string, state: BreakerState) => void
  readonly onRetry: (service: string) => void
  readonly onReconnect: (service: string) => void
  readonly onProxied: (service: string, result: { readonly code: string; readonly seconds: number }) => void
  readonly onRedis: (state: 'up' | 'down', error?: unknown) => void
  readonly onSessionEvent: (result: SessionEventResult) => void
  readonly onFailure: (msg: string, error: unknown, context?: Readonly<Record<string, unknown>>) => void
  readonly onBrokerHealth: (health: BrokerHealth) => void
  readonly onLimit: (event: RateLimitEvent) => void
  readonly onChat: (event: ChatEvent) => void
  readonly onChannelReset: (channel: string, reason: string) => void
  readonly onDailyBonus: (event: DailyBonusEvent) => void
}

const breakerLevel: Readonly<Record<BreakerState, number>> = { closed: 0, half_open: 1, open: 2 }
const closeLabels = [
  '1000',
  '1001',
  '1005',
  '1006',
  ...new Set(Object.values(closeCodes).map(({ code }) => String(code))),
]
const messageLabels = [...Object.keys(clientSchemas), 'invalid']

/** Records into `logger` and `metrics`. */
export function createObserver({
  logger,
  metrics,
}: {
  readonly logger: Logger
  readonly metrics: Metrics
}): Observer {
  const about = (session: ClientSession) => ({ userId: session.userId, connectionId: session.connectionId })
  return {
    onSession(event) {
      switch (event.type) {
        case 'authenticated':
          metrics.wsActiveConnections.inc({ client_type: event.session.clientType })
          logger.info('connection_opened', { ...about(event.session), clientType: event.session.clientType })
          return
        case 'auth_refused':
          metrics.authFailures.inc({ reason: event.reason })
          logger.info('connection_refused', { connectionId: event.connectionId, reason: event.reason })
          return
        case 'message':
          metrics.wsMessagesReceived.inc({
            type: boundedLabel(event.messageType, messageLabels),
            result: event.result,
          })
          if (event.result !== 'ok')
            logger.debug('message_refused', {
              ...about(event.session),
              type: event.messageType,
              result: event.result,
            })
          return
        case 'failed':
          logger.error('message_failed', {
            ...about(event.session),
            type: event.messageType,
            err: event.error,
          })
      }
    },
    onClosed(session, { code, durationMs }) {
      metrics.wsActiveConnections.dec({ client_type: session.clientType })
      metrics.wsSessionDuration.observe({ client_type: session.clientType }, durationMs / 1000)
      metrics.wsCloses.inc({ code: boundedLabel(String(code), closeLabels) })
      if (code === closeCodes.too_slow.code) metrics.wsSlowCloses.inc()
      logger.info('connection_closed', { ...about(session), code, durationMs: Math.round(durationMs) })
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
        case 'link':
          if (event.status === 'rebuilt') metrics.pubsubRebuilds.inc()
          logger.info('pubsub_link', { status: event.status })
          return
        case 'resubscribed':
          logger.info('pubsub_resubscribed', { channels: event.channels, durationMs: event.durationMs })
          return
        case 'error':
          metrics.redisErrors.inc({ kind: event.stage })
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
      const service = `${backend}.http`
      metrics.upstreamRequests.inc({ service, method: 'proxy', code })
      metrics.upstreamRequestDuration.observe({ service }, seconds)
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
        case 'failed':
          logger.warn('session_event_failed', { eventType, err: result.error })
      }
    },
    onFailure(msg, error, context) {
      const status = error instanceof BackendError ? { grpcStatus: error.status } : {}
      logger.warn(msg, { ...context, ...status, err: error })
    },
    onLimit(event) {
      switch (event.type) {
        case 'decision':
          for (const { policy, allowed } of event.decision.results)
            metrics.rateLimitDecisions.inc({
              policy,
              decision: allowed ? 'allowed' : 'refused',
              source: event.decision.source,
            })
          return
        case 'store-error':
          metrics.redisErrors.inc({ kind: 'ratelimit' })
          return
        case 'store-state':
          logger.warn('ratelimit_store', { available: event.available })
      }
    },
    onChat(event) {
      switch (event.type) {
        case 'accepted':
        case 'refused':
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
      metrics.channelResets.inc({ reason })
    },
    onDailyBonus({ type, userId, status, error }) {
      if (type === 'granted') logger.info('daily_bonus_granted', { userId })
      else logger.warn('daily_bonus_failed', { userId, status, err: error })
    },
    onBrokerHealth({ probeAgeMs }) {
      if (probeAgeMs !== undefined) metrics.pubsubProbeAge.set(probeAgeMs / 1000)
    },
  }
}
