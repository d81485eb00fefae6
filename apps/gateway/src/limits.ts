/**
 * The limits of the gateway as data, and where they are asked.
 *
 *   before auth: failed logins of an address (local)   after auth: user and address, one call
 *   socket: user and address, by kind of message
 */
import type { Connection } from '@gw/connections'
import {
  addressKey,
  createRateLimiter,
  MemoryRateLimitStore,
  type Policy,
  type RateLimitEvent,
  type RateLimiter,
  userKey,
} from '@gw/ratelimit'
import { rateLimit } from '@gw/ratelimit/express'
import { RedisRateLimitStore } from '@gw/ratelimit/redis'
import { createSocketLimiter, type SocketLimiter } from '@gw/ratelimit/ws'
import { closeCodes } from '@gw/protocol'
import type { RequestHandler, Request } from 'express'
import { LRUCache } from 'lru-cache'
import type { Config } from './config.ts'
import { GatewayError } from './errors.ts'
import { answerIds } from './http/send-error.ts'
import type { RedisClients } from './redis.ts'
import type { ClientSession } from './ws/client-session.ts'
import { type Limit, type LimitKind, limitKinds } from './ws/dispatch.ts'

/** Failed logins of one address before it must wait: many users may share an address, guesses are cheap to stop. */
const failedLoginsPerMinute = 100

/** Subscribing, joining and the rest cost backend calls too; they get more room than actions. */
const otherPerAction = 5

export interface LimitsOptions {
  readonly config: Config
  readonly redis: RedisClients | undefined
  readonly addressOf: (request: Request) => string
  readonly liveInstances: () => number
  readonly onEvent: (event: RateLimitEvent) => void
}

export interface Limits {
  /** Refuses an address with too many failed logins, before any signature is verified. */
  readonly beforeAuth: RequestHandler
  readonly countFailedLogin: (address: string) => void
  /** Whether an address has too many failed logins; known without asking. */
  readonly isBlocked: (address: string) => boolean
  readonly afterAuth: RequestHandler
  readonly socket: Limit
  close(): void
}

function policiesOf(config: Config): readonly Policy[] {
  const http = { limit: config.HTTP_RATE_LIMIT_MAX, windowMs: config.HTTP_RATE_LIMIT_WINDOW_MS }
  const ws = { limit: config.WS_RATE_LIMIT_MAX, windowMs: config.WS_RATE_LIMIT_WINDOW_MS }
  const other = { ...ws, limit: ws.limit * otherPerAction }
  return [
    { name: 'http_user', ...http },
    { name: 'http_ip', ...http },
    { name: 'ws_action_user', ...ws },
    { name: 'ws_action_ip', ...ws },
    { name: 'ws_chat_user', ...ws },
    { name: 'ws_chat_ip', ...ws },
    { name: 'ws_other_user', ...other },
    { name: 'ws_other_ip', ...other },
  ]
}

/** Which counters one message of a kind counts on. */
function socketKeys(kind: LimitKind, session: ClientSession) {
  return [
    { policy: `ws_${kind}_user`, key: userKey(session.userId) },
    { policy: `ws_${kind}_ip`, key: addressKey(session.address) },
  ]
}

export function createLimits({ config, redis, addressOf, liveInstances, onEvent }: LimitsOptions): Limits {
  const memory = new MemoryRateLimitStore()
  const store = redis
    ? new RedisRateLimitStore({ client: redis.limits, prefix: `${config.REDIS_PREFIX}:rl:` })
    : memory
  const shared = (failOpen: boolean): RateLimiter =>
    createRateLimiter({
      store,
      policies: policiesOf(config),
      onStoreError: failOpen ? 'local' : 'deny',
      liveInstances,
      onEvent,
    })
  const http = shared(config.HTTP_RATE_LIMIT_FAIL_OPEN)
  const ws = shared(config.WS_RATE_LIMIT_FAIL_OPEN)
  const logins = createRateLimiter({
    store: memory,
    policies: [{ name: 'failed_logins', limit: failedLoginsPerMinute, windowMs: 60_000 }],
    onStoreError: 'allow',
    onEvent,
  })
  const failedLogins = (address: string) => [{ policy: 'failed_logins', key: addressKey(address) }]
  /** Until when, for who may not wait for an answer: the admission of sockets. */
  const blockedUntilMs = new LRUCache<string, number>({ max: 10_000 })
  const perSocket = new WeakMap<Connection, SocketLimiter>()

  async function noteFailedLogin(address: string): Promise<void> {
    await logins.increment(failedLogins(address))
    const { allowed, retryAfterMs } = await logins.check(failedLogins(address))
    if (!allowed) blockedUntilMs.set(address, performance.now() + retryAfterMs)
  }

  function limiterOf(session: ClientSession): SocketLimiter {
    const known = perSocket.get(session.connection)
    if (known) return known
    const limiter = createSocketLimiter({
      limiter: ws,
      keys: (kind) => socketKeys(limitKinds.find((known) => known === kind) ?? 'other', session),
      perConnection: {
        limit: Math.min(10_000, config.WS_RATE_LIMIT_MAX * (otherPerAction + 2)),
        windowMs: config.WS_RATE_LIMIT_WINDOW_MS,
      },
    })
    perSocket.set(session.connection, limiter)
    return limiter
  }

  return {
    beforeAuth(request, response, next) {
      logins.check(failedLogins(addressOf(request))).then(({ allowed, retryAfterMs }) => {
        if (allowed) next()
        else next(new GatewayError('rate_limited', 'Too many failed logins from this IP', { retryAfterMs }))
      }, next)
    },
    countFailedLogin(address) {
      // Rejected only when the limiter is closed: the process is going.
      noteFailedLogin(address).catch(() => {})
    },
    isBlocked: (address) => (blockedUntilMs.get(address) ?? 0) > performance.now(),
    afterAuth: rateLimit<Request>({
      limiter: http,
      traceId: () => answerIds().traceId,
      keys: (request) => [
        ...(request.auth ? [{ policy: 'http_user', key: userKey(request.auth.subject) }] : []),
        { policy: 'http_ip', key: addressKey(addressOf(request)) },
      ],
    }),
    async socket(kind, session) {
      const decision = await limiterOf(session).judge(kind)
      if (decision.allowed) return undefined
      if (decision.abusive) {
        const { code, reason } = closeCodes.rate_limited
        session.connection.close(code, reason)
      }
      return { retryAfterMs: Math.max(1, decision.retryAfterMs) }
    },
    close() {
      for (const limiter of [http, ws, logins]) limiter.close()
      store.close()
      memory.close()
    },
  }
}
