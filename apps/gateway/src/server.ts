/**
 * The composition: wiring in one place, plain code, and long for that reason alone. Settings → clients → packages → one gateway, and the order in which it starts and stops.
 *
 *   start: internal port ▶ metrics ▶ public port (Redis and backends may still be absent)
 *   stop:  not ready ▶ no new sockets ▶ sockets told to come back (1012) ▶ requests in flight ▶ events flushed ▶ clients
 */
import { setTimeout as pause } from 'node:timers/promises'
import { createTokenVerifier, isRevokedBy, type TokenRefusal, tokenRefusals } from '@gw/auth'
import { logoutHandler } from '@gw/auth/express'
import { RedisRevocationStore } from '@gw/auth/redis'
import { type ChatOptions, createChat, MemoryChatStore } from '@gw/chat'
import { RedisChatStore } from '@gw/chat/redis'
import { createConnectionRegistry, createHeartbeat, createSubscriptions } from '@gw/connections'
import { currentContext, requestContext } from '@gw/observability/http'
import type { Logger } from '@gw/observability/logger'
import { createMetricsServer, type Metrics, type MetricsSnapshot } from '@gw/observability/metrics'
import { injectTraceparent } from '@gw/observability/tracing'
import { createClientAddress } from '@gw/ratelimit'
import { chatChannel, closeCodes, limits as wireLimits, parseChannel, tableChannel } from '@gw/protocol'
import { createAdmin } from './admin/create-admin.ts'
import type { ServiceState } from './admin/instance-report.ts'
import { readBackendTls } from './backend-tls.ts'
import type { Config } from './config.ts'
import { createBackendGuard } from './grpc/backend-guard.ts'
import { createBackends } from './grpc/backends.ts'
import { createPublisherServer } from './grpc/publisher-server.ts'
import { addField } from './http/answer-fields.ts'
import { createHttpApp } from './http/app.ts'
import { createProxies } from './http/proxies.ts'
import { createProxy } from './http/proxy.ts'
import { createRoutes } from './http/routes/routes.ts'
import { mostConnections, ProxyDispatcher } from './http/proxy-dispatcher.ts'
import { keySourcesOf } from './key-sources.ts'
import { createLimits } from './limits.ts'
import { createObserver } from './observe.ts'
import { callScope } from './observe/call-scope.ts'
import { createFanOutObserver } from './observe/fan-out.ts'
import { messageScope } from './observe/message-scope.ts'
import { createPublishObserver } from './observe/publishes.ts'
import { observeRedisCommands } from './observe/redis-commands.ts'
import { createRedisClients } from './redis.ts'
import { MemoryAnswerStore } from './services/answer-store.ts'
import { createBroadcastService } from './services/broadcast-service.ts'
import { createChannels } from './services/channels.ts'
import { createDailyBonus } from './services/daily-bonus.ts'
import { createHoleCards } from './services/hole-cards.ts'
import { createIntake } from './services/intake.ts'
import { channelKindOf, createMessaging } from './messaging.ts'
import { RedisAnswerStore } from './services/redis-answer-store.ts'
import { createSessionEvents } from './services/session-events.ts'
import { createMemberChanges } from './services/member-changes.ts'
import { createMuteEvents } from './services/mute-events.ts'
import { createSpectators } from './services/spectators.ts'
import { createTableAccess, type TableRule } from './services/table-access.ts'
import { createTableMembers } from './services/table-members.ts'
import { createTableWatch } from './services/table-watch.ts'
import { createWhereabouts, tablesOf } from './services/whereabouts.ts'
import type { Readiness } from './http/health.ts'
import { closeHttpServer, createHttpServer } from './http/http-server.ts'
import { createActionOrder } from './ws/action-order.ts'
import { createApplyOnce } from './ws/apply-once.ts'
import type { ClientSession } from './ws/client-session.ts'
import { createDispatch } from './ws/dispatch.ts'
import { createChatHandlers } from './ws/handlers/chat.ts'
import { createLobbyHandlers } from './ws/handlers/lobby.ts'
import { createPresenceHandlers } from './ws/handlers/presence.ts'
import { createTableHandlers } from './ws/handlers/table.ts'
import { createTypingHandlers } from './ws/handlers/typing.ts'
import { createRestore } from './ws/restore.ts'
import { isUndecided } from './ws/session.ts'
import { createStandingChannels } from './ws/standing-channels.ts'
import { createSilence } from './ws/silence.ts'
import { createSockets, type SocketLife } from './ws/sockets.ts'

/** TCP connections for requests, beside those that sockets may have. */
const requestConnections = 10_000

/** What is said only of a token whose signature is good: many who share an address may have such ones, and guess nothing. */
const signedRefusals: ReadonlySet<string> = new Set<TokenRefusal>([
  'exp_missing',
  'claim_invalid',
  'expired',
  'not_yet_valid',
  'issued_in_future',
  'lifetime_too_long',
  'issuer_mismatch',
  'audience_mismatch',
  'subject_missing',
  'subject_invalid',
  'revoked',
])

/** Refusals that count as failed logins of an address: what may be a guess. Silence is none, and our outage is not its fault. */
const failedLogins: ReadonlySet<string> = new Set([
  ...tokenRefusals.filter(
    (reason) => reason !== 'token_missing' && !isUndecided(reason) && !signedRefusals.has(reason),
  ),
  'logout_token',
])

/** Channels of one socket: the lobby, tables with their chats, and people. */
const maxChannelsPerConnection = 500

/** After it the backend's own memory of keys answers for an attempt whose instance died. */
const answerLeaseMs = 3000

/** The trace and request that a call to a backend belongs to. */
function traceMetadata(): Readonly<Record<string, string>> {
  const traceparent = injectTraceparent()
  const requestId = currentContext()?.requestId
  const metadata: Record<string, string> = {}
  if (traceparent !== undefined) metadata['traceparent'] = traceparent
  if (requestId !== undefined) metadata['x-request-id'] = requestId
  return metadata
}

export interface GatewayOptions {
  readonly config: Config
  readonly instanceId: string
  readonly logger: Logger
  readonly metrics: Metrics
  readonly version: string
  /** False in a worker: its parent serves the metrics of all. */
  readonly hasMetricsPort: boolean
  /** Lines about what operators did; its level is not the one that they can change. */
  readonly audit: Logger
  readonly hooks?: GatewayHooks
}

/** Rules of the operator's own. */
export interface GatewayHooks {
  /** Who may watch, chat at and join a table over the socket. Default: any authenticated user. */
  readonly tableRule?: TableRule
  /** The last word on a chat line: passes, masks or blocks it. Default: none. */
  readonly chatFilter?: ChatOptions['filter']
}

/** The ports that the gateway listens on. */
export interface GatewayPorts {
  readonly port: number
  /** Absent in a worker. */
  readonly metricsPort?: number
  readonly internalPort: number
  /** Absent when there is no admin API. */
  readonly adminPort?: number
}

export interface Gateway {
  /** Resolves when all ports listen. Redis and backends may be absent: `/ready` tells. */
  start(): Promise<GatewayPorts>
  /** This process's metrics, as of now. */
  snapshot(): Promise<MetricsSnapshot>
  /** Drains and ends everything; at most `SHUTDOWN_TIMEOUT_MS`. Idempotent. */
  stop(): Promise<void>
}

/** Wires one gateway; nothing listens or connects to a backend before `start`. */
export function createGateway(options: GatewayOptions): Gateway {
  const { config, instanceId, logger, metrics, hooks = {} } = options
  const observer = createObserver({ logger, metrics, messageSample: config.LOG_MESSAGE_SAMPLE })
  const fanOut = createFanOutObserver(metrics)
  const stopWatchingRedis = observeRedisCommands(metrics)
  if (config.REDIS_URL === undefined) metrics.redisUp.remove()
  const addressOf = createClientAddress({ trustedHops: config.TRUST_PROXY_HOPS })
  let state: ServiceState = 'serving'

  const redis =
    config.REDIS_URL === undefined
      ? undefined
      : createRedisClients({
          url: config.REDIS_URL,
          timeoutMs: config.REDIS_TIMEOUT_MS,
          mode: config.REDIS_MODE,
          masterName: config.REDIS_SENTINEL_MASTER,
          onChange: observer.onRedis,
        })
  const revocations =
    redis &&
    new RedisRevocationStore({
      redis: redis.commands,
      prefix: `${config.REDIS_PREFIX}:auth`,
      onEvent: observer.onRevocations,
    })
  const verifier = createTokenVerifier({
    keys: keySourcesOf(config),
    clockSkewMs: config.JWT_CLOCK_SKEW_MS,
    ...(config.JWT_ISSUER !== undefined && { issuer: config.JWT_ISSUER }),
    ...(config.JWT_AUDIENCE !== undefined && { audience: config.JWT_AUDIENCE }),
    ...(revocations && { revocations }),
    onRevocationsStale: config.REVOCATION_FAIL_OPEN ? 'allow' : 'deny',
    onEvent: observer.onAuth,
  })
  const limits = createLimits({
    config,
    redis,
    addressOf,
    liveInstances: () => whereabouts.connections.instanceCount,
    onEvent: observer.onLimit,
  })
  const tls = readBackendTls(config)
  const backends = createBackends({
    ...(config.BACKEND_TLS && { tls }),
    addresses: {
      game: config.GAME_SERVICE_URL,
      player: config.PLAYER_SERVICE_URL,
      event: config.EVENT_SERVICE_URL,
      notify: config.NOTIFY_SERVICE_URL,
    },
    timeoutMs: config.GRPC_CLIENT_TIMEOUT_MS,
    metadata: traceMetadata,
    onCall: observer.onCall,
    onBreaker: observer.onBreaker,
    onRetry: observer.onRetry,
    onReconnect: observer.onReconnect,
  })

  const messaging = createMessaging({
    redis,
    prefix: config.REDIS_PREFIX,
    onNewMaster: config.REDIS_ON_NEW_MASTER,
    instanceId,
    intake: (channels) => createIntake({ broker: channels, game: backends.game }),
    onEvent: observer.onBroker,
    observePublish: createPublishObserver(metrics),
  })
  const { broker } = messaging

  const registry = createConnectionRegistry({
    max: config.MAX_CONNECTIONS,
    maxPerUser: config.MAX_CONNECTIONS_PER_USER,
  })
  const subscriptions = createSubscriptions({ maxChannelsPerConnection })
  const heartbeat = createHeartbeat({
    intervalMs: config.WS_PING_INTERVAL_MS,
    // Until the next ping is due: the heartbeat judges a hundredth of a turn before.
    timeoutMs: config.WS_PING_INTERVAL_MS * 0.99,
  })
  const silence = createSilence({ heartbeatMs: config.WS_PING_INTERVAL_MS, onSent: fanOut.onSentFrame })
  const channels = createChannels({
    broker,
    subscriptions,
    kindOf: channelKindOf,
    onFanOut: (message) => watch.see(message),
    derivedFrom: (message) => watch.derivedFrom(message),
    onReset: observer.onChannelReset,
    onResume: observer.onResume,
    ...fanOut,
  })
  const holeCards = createHoleCards({
    game: backends.game,
    socketsOf: (userId, tableId) =>
      registry.getByUser(userId).filter(({ id }) => channels.has(id, tableChannel(tableId))),
    onError: (error, context) => observer.onFailure('hole_cards_failed', error, context),
    onSent: fanOut.onSentFrame,
  })
  const noteMembers = createMemberChanges((member) => chat.invalidate(member))
  const watch = createTableWatch({
    onFacts(tableId, facts) {
      holeCards.offer(tableId, facts)
      noteMembers(tableId, facts)
    },
  })
  const spectators = createSpectators({
    game: backends.game,
    note: (connectionId, tableId, watches) => whereabouts.watch(connectionId, tableId, watches),
    stillWatches: (userId, tableId, left) => whereabouts.isWatching(userId, tableId, left),
    onError: (error, context) => observer.onFailure('spectator_call_failed', error, context),
  })
  const chat = createChat({
    store: redis
      ? new RedisChatStore({ redis: redis.commands, prefix: `${config.REDIS_PREFIX}:chat` })
      : new MemoryChatStore(),
    publisher: broker,
    ...createTableMembers({ backends, spectators }),
    channelOf: chatChannel,
    onMuteError: config.CHAT_MUTE_FAIL_OPEN ? 'allow' : 'deny',
    ...(hooks.chatFilter && { filter: hooks.chatFilter }),
    onEvent: observer.onChat,
  })
  const mutes = createMuteEvents({
    broker,
    onChange: (member) => chat.invalidate(member),
    onError: (error) => observer.onFailure('mute_events_failed', error),
  })
  const whereabouts = createWhereabouts({
    redis,
    prefix: config.REDIS_PREFIX,
    instanceId,
    broker,
    onReaped(lost) {
      observer.onReaped(lost.length)
      for (const connection of lost) {
        const { connectionId, userId, connectedAtMs, metadata } = connection
        for (const tableId of tablesOf(connection)) spectators.leave(userId, tableId, connectionId)
        sessionEvents.ended({
          connectionId,
          userId,
          clientType: metadata?.['clientType'] === 'mobile' ? 'mobile' : 'web',
          durationMs: Math.max(0, Date.now() - connectedAtMs),
          reason: 'instance_lost',
        })
      }
    },
    onError: (operation, error) => observer.onFailure('whereabouts_failed', error, { operation }),
  })
  const sessionEvents = createSessionEvents({ event: backends.event, onResult: observer.onSessionEvent })
  const onSnapshotError = (error: unknown, { connection, userId }: ClientSession): void => {
    if (connection.state === 'open') observer.onFailure('snapshot_failed', error, { userId })
  }
  const lobby = createLobbyHandlers({ game: backends.game, channels, onError: onSnapshotError })
  const table = createTableHandlers({
    game: backends.game,
    channels,
    spectators,
    watch,
    holeCards,
    isLive: () => (redis?.isUp() ?? true) && broker.health().ok,
    onError: onSnapshotError,
  })
  const typing = createTypingHandlers({ broker, chat, channels })
  const chatHandlers = createChatHandlers({
    chat,
    channels,
    game: backends.game,
    typing,
    onError: onSnapshotError,
  })
  const standing = createStandingChannels({ channels, onError: onSnapshotError })
  const presence = createPresenceHandlers({
    sessions: whereabouts.sessions,
    channels,
    onError: onSnapshotError,
  })
  const answerTimes = { keepMs: wireLimits.idempotencyMs, leaseMs: answerLeaseMs }
  const localAnswers = new MemoryAnswerStore(answerTimes)
  const answers = redis
    ? new RedisAnswerStore({
        ...answerTimes,
        redis: redis.commands,
        prefix: `${config.REDIS_PREFIX}:answer`,
      })
    : localAnswers
  const access = createTableAccess({ rule: hooks.tableRule, timeoutMs: config.GRPC_CLIENT_TIMEOUT_MS })
  const dispatch = createDispatch({
    table,
    lobby,
    chat: chatHandlers,
    typing,
    presence,
    access,
    limit: limits.socket,
    once: createApplyOnce({
      store: answers,
      local: localAnswers,
      renewMs: answerLeaseMs / 3,
      onStoreError: (error) => observer.onFailure('answers_unavailable', error),
    }),
    actionOrder: createActionOrder({ watch, channels }),
  })
  const restore = createRestore({
    resume: {
      table: table.resume,
      chat: chatHandlers.resume,
      lobby: lobby.resume,
      presence: presence.resume,
      standing: standing.resume,
    },
    async authorise({ kind, id }, { identity }) {
      if (kind === 'table') await access(id, identity, 'watch')
      else if (kind === 'chat') await access(id, identity, 'chat')
    },
    startLobby: lobby.start,
    startStanding: standing.start,
  })

  const proxyDispatcher = new ProxyDispatcher({ timeoutMs: config.PROXY_TIMEOUT_MS, tls })
  const readiness: Readiness = {
    notReadyReason() {
      if (state !== 'serving') return 'draining'
      if (redis && !redis.isUp()) return 'redis_unavailable'
      if (!broker.health().ok) return 'pubsub_unavailable'
      return verifier.ready() ? undefined : 'keys_unavailable'
    },
  }
  const hasLogout = config.JWT_ISSUER !== undefined && config.JWT_AUDIENCE !== undefined
  const { listener, messages } = createHttpApp({
    ...(hasLogout && { backchannelLogout: logoutHandler(verifier) }),
    corsOrigins: config.CORS_ORIGIN,
    readiness,
    verifier,
    onAuthRefused(reason, request) {
      observer.onAuthFailure(reason)
      if (failedLogins.has(reason)) limits.countFailedLogin(addressOf(request))
    },
    context: requestContext({ logger, metrics, setHeader: addField }),
    limitBeforeAuth: limits.beforeAuth,
    limitAfterAuth: limits.afterAuth,
    proxies: createProxies({
      config,
      dispatcher: proxyDispatcher,
      guardOf: (service) =>
        createBackendGuard({
          maxConcurrent: mostConnections,
          onState: (state) => observer.onBreaker(`${service}.http`, state),
          onRetry: () => observer.onRetry(`${service}.http`),
        }),
      headers: traceMetadata,
      onResult: observer.onProxied,
    }),
    budgetMs: config.REQUEST_BUDGET_MS,
    onDefect: observer.onDefect,
    ...(config.DEMO_PAGE_URL !== undefined && {
      demoPage: createProxy({
        target: config.DEMO_PAGE_URL,
        timeoutMs: config.PROXY_TIMEOUT_MS,
        dispatcher: proxyDispatcher,
        guard: createBackendGuard(),
        // Who has no token yet is one user here.
        maxPerUser: 64,
      }),
    }),
    hasApiPage: config.API_DOCS,
    routes: createRoutes({
      backends: { ...backends, game: mutes.watched(backends.game) },
      dailyBonus: createDailyBonus({
        balanceUrl: config.BALANCE_SERVICE_HTTP_URL,
        dispatcher: proxyDispatcher,
        onEvent: observer.onDailyBonus,
      }),
      vapidPublicKey: config.VAPID_PUBLIC_KEY,
    }),
  })
  const server = createHttpServer(listener, {
    headersTimeoutMs: config.HTTP_HEADERS_TIMEOUT_MS,
    requestTimeoutMs: Math.max(30_000, config.PROXY_TIMEOUT_MS),
    maxConnections: config.MAX_CONNECTIONS + requestConnections,
    messages,
  })

  function onReady(session: ClientSession): void {
    const { connectionId, userId, clientType } = session
    const connectedAtMs = Date.now()
    whereabouts.open({ connectionId, userId, connectedAtMs, metadata: { clientType } })
    sessionEvents.started({ ...session, connectedAtMs })
    // The first look at a profile creates it; today's gateway refreshes the username this way.
    if (session.identity.username !== undefined)
      backends.player
        .getProfile({ userId: session.userId, username: session.identity.username })
        .catch((error: unknown) =>
          observer.onFailure('username_sync_failed', error, { userId: session.userId }),
        )
  }

  function onGone(session: ClientSession, life: SocketLife): void {
    for (const channel of channels.leaveAll(session.connectionId)) {
      const named = parseChannel(channel)
      if (named?.kind === 'table') spectators.leave(session.userId, named.id, session.connectionId)
    }
    whereabouts.close(session.connectionId)
    observer.onClosed(session, life)
    admin?.onClosed(session, life.code)
    sessionEvents.ended({ ...session, durationMs: Math.round(life.durationMs), reason: String(life.code) })
  }

  const sockets = createSockets({
    server,
    instanceId,
    verifier,
    dispatch,
    limit: limits.socket,
    registry,
    heartbeat,
    silence,
    addressOf,
    limits: {
      authTimeoutMs: config.WS_AUTH_TIMEOUT_MS,
      tokenGraceMs: config.WS_TOKEN_GRACE_MS,
      maxPayloadBytes: config.WS_MAX_PAYLOAD_BYTES,
      maxConnections: config.MAX_CONNECTIONS,
      maxPerAddress: config.MAX_CONNECTIONS_PER_ADDRESS,
      maxUnauthenticated: config.MAX_UNAUTHENTICATED,
      acceptsPerSecond: config.WS_ACCEPTS_PER_SECOND,
      acceptsPerSecondPerAddress: config.WS_ACCEPTS_PER_SECOND_PER_ADDRESS,
    },
    allowedOrigins: config.CORS_ORIGIN,
    queryToken: config.WS_QUERY_TOKEN_AUTH,
    isDraining: () => state !== 'serving',
    isBlocked: limits.isBlocked,
    onReady,
    restore,
    onGone,
    scope: messageScope,
    onSent: fanOut.onSentFrame,
    onEvent(event) {
      observer.onSession(event)
      admin?.onSession(event)
      if (event.type === 'auth_refused' && failedLogins.has(event.reason))
        limits.countFailedLogin(event.address)
    },
    onRefused: observer.onUpgradeRefused,
    onError: (error, connectionId) => observer.onFailure('connection_error', error, { connectionId }),
  })
  const stopWatchingRevocations = verifier.onRevoked((revocation) => {
    for (const connection of registry.all()) {
      const session = sockets.sessionOf(connection.id)
      if (session && isRevokedBy(revocation, session.identity)) {
        const { code, reason } = closeCodes.revoked
        connection.close(code, reason)
      }
    }
  })

  const admin =
    config.ADMIN_TOKEN === undefined
      ? undefined
      : createAdmin({
          ...options,
          token: config.ADMIN_TOKEN,
          state: () => state,
          readiness,
          observer,
          broker,
          redis,
          verifier,
          revocations,
          backends,
          sessionEvents,
          sockets,
          sessions: sockets,
          registry,
          subscriptions,
          whereabouts,
          setDrained(drained) {
            if (state === 'stopping') return { state, sockets: sockets.count }
            state = drained ? 'drained' : 'serving'
            if (drained) void sockets.drain(config.SHUTDOWN_TIMEOUT_MS * 0.4)
            return { state, sockets: sockets.count }
          },
        })

  /** Brings the gauges up to date; whether this instance is ready. */
  function observeNow(): boolean {
    observer.onScrape({
      broker: broker.health(),
      sockets: sockets.count,
      traffic: sockets.traffic(),
      instances: whereabouts.connections.instanceCount,
      sessionEventsQueued: sessionEvents.queued,
    })
    return readiness.notReadyReason() === undefined
  }

  const metricsServer = createMetricsServer({
    metrics,
    host: config.METRICS_HOST,
    port: config.METRICS_PORT,
    health: observeNow,
  })
  const publisherServer = createPublisherServer({
    broadcast: createBroadcastService(messaging.intake),
    host: config.INTERNAL_HOST,
    port: config.INTERNAL_PORT,
    scope: callScope,
  })

  async function listen(): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    server.once('error', reject)
    server.listen(config.PORT, config.HOST, resolve)
    await promise
    server.off('error', reject)
    const address = server.address()
    return typeof address === 'object' && address !== null ? address.port : config.PORT
  }

  async function shutDown(): Promise<void> {
    const deadline = Date.now() + config.SHUTDOWN_TIMEOUT_MS
    const left = (share: number): number => Math.max(100, (deadline - Date.now()) * share)
    state = 'stopping'
    // In a worker Node does not bear a server that is closed before it listens.
    await starting?.catch(() => {})
    const served = closeHttpServer(server, { lingerMs: Math.min(500, left(0.1)), timeoutMs: left(0.6) })
    await sockets.drain(left(0.4))
    sockets.close()
    await admin?.close()
    await served
    // Who has gone is no spectator any more, and nobody else will say so: the lease is given back.
    await Promise.race([spectators.allSettled(), pause(left(0.4), undefined, { ref: false })])
    heartbeat.close()
    silence.close()
    stopWatchingRevocations()
    await sessionEvents.flush(Math.min(2000, left(0.5)))
    await publisherServer.close()
    await Promise.race([whereabouts.stop(), pause(left(0.2), undefined, { ref: false })])
    mutes.close()
    await messaging.close()
    await verifier.close()
    await revocations?.close()
    limits.close()
    await proxyDispatcher.close()
    backends.close()
    redis?.close()
    stopWatchingRedis()
    await metricsServer.close()
  }

  async function listenAll(): Promise<GatewayPorts> {
    const internalPort = await publisherServer.listen()
    const metricsPort = options.hasMetricsPort ? await metricsServer.listen() : undefined
    const adminPort = await admin?.listen()
    return {
      port: await listen(),
      internalPort,
      ...(metricsPort !== undefined && { metricsPort }),
      ...(adminPort !== undefined && { adminPort }),
    }
  }

  let starting: Promise<GatewayPorts> | undefined
  let stopped: Promise<void> | undefined
  return {
    start() {
      mutes.start()
      starting = listenAll()
      return starting
    },
    async snapshot() {
      metrics.ready.set(observeNow() ? 1 : 0)
      return metrics.snapshot()
    },
    stop() {
      stopped ??= shutDown()
      return stopped
    },
  }
}
