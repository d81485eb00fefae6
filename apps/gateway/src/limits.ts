/**
 * The limits of the gateway as data, and where they are asked.
 *
 *   before auth: failed logins of an address (local)   after auth: user and address, one call
 *   socket: user and address, by kind of message and what it costs
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
import { addField } from './http/answer-fields.ts'
import { answerIds } from './http/send-error.ts'
import type { RedisClients } from './redis.ts'
import type { ClientSession } from './ws/client-session.ts'
import type { Limit } from './ws/dispatch.ts'

/** Failed logins of one address before it must wait: many users may share an address, guesses are cheap to stop. */
const failedLoginsPerMinute = 100

/** Addresses with failed logins that are remembered, as many as the store in memory has counters. */
const maxFailedAddresses = 100_000

/** Everything but actions and chat lines shares one budget, of so many units for each action that is allowed. */
const otherPerAction = 15

/** Messages of all kinds on one socket, for each action that is allowed. */
const framesPerAction = 7

/**
 * Addresses this instance has not seen lately that may make a counter in Redis, in a second. An attacker with a network
 * of his own, or behind a proxy that we trust, has any number of them; two windows of 500 a second are 60 000 keys, 11 MB.
 */
const newAddressesPerSecond = 500

type MessageKind = 'action' | 'chat' | 'other'
/** What may come on a socket that is open. */
type Counted = Parameters<Limit>[0]

/** On which budget a message counts, and how much: as many units as it costs calls to backends and reads of logs. */
const messageCosts: Readonly<Record<Counted, readonly [kind: MessageKind, cost: number]>> = {
  Action: ['action', 1],
  ChatSend: ['chat', 1],
  SubscribeTable: ['other', 3],
  ResyncTable: ['other', 3],
  JoinSeat: ['other', 3],
  LeaveTable: ['other', 2],
  SubscribeChat: ['other', 3],
  GetChatHistory: ['other', 2],
  DeleteChatMessage: ['other', 2],
  SubscribeLobby: ['other', 2],
  SubscribePresence: ['other', 2],
  SetAway: ['other', 1],
  SetTyping: ['other', 1],
  Authenticate: ['other', 3],
  Ping: ['other', 1],
  invalid: ['other', 1],
  UnsubscribeTable: ['other', 1],
  UnsubscribeChat: ['other', 1],
  UnsubscribeLobby: ['other', 1],
  UnsubscribePresence: ['other', 1],
}

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
  const limits = { http, ws_action: ws, ws_chat: ws, ws_other: { ...ws, limit: ws.limit * otherPerAction } }
  return Object.entries(limits).flatMap(([name, limit]): Policy[] => [
    { name: `${name}_user`, ...limit },
    { name: `${name}_ip`, ...limit, newKeysPerSecond: newAddressesPerSecond },
  ])
}

/** Which counters one message counts on. */
function socketKeys(type: Counted, session: ClientSession) {
  const [kind, cost] = messageCosts[type]
  return [
    { policy: `ws_${kind}_user`, key: userKey(session.userId), cost },
    { policy: `ws_${kind}_ip`, key: addressKey(session.address), cost },
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
  /** Nothing is counted for whoever isn't in here: the limiter need not be asked. */
  const failedAddresses = new LRUCache<string, true>({ max: maxFailedAddresses })
  const failedLogins = (address: string) => [{ policy: 'failed_logins', key: addressKey(address) }]
  /** Until when, for who may not wait for an answer: the admission of sockets. */
  const blockedUntilMs = new LRUCache<string, number>({ max: 10_000 })
  const perSocket = new WeakMap<Connection, SocketLimiter>()
  const perConnection = {
    limit: Math.min(10_000, config.WS_RATE_LIMIT_MAX * framesPerAction),
    windowMs: config.WS_RATE_LIMIT_WINDOW_MS,
  }

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
      keys: (type) => socketKeys(isCounted(type) ? type : 'invalid', session),
      perConnection,
    })
    perSocket.set(session.connection, limiter)
    return limiter
  }

  return {
    beforeAuth(request, response, next) {
      const address = addressOf(request)
      if (!failedAddresses.has(address)) return next()
      logins.check(failedLogins(address)).then(({ allowed, retryAfterMs }) => {
        if (allowed) next()
        else next(new GatewayError('rate_limited', 'Too many failed logins from this IP', { retryAfterMs }))
      }, next)
    },
    countFailedLogin(address) {
      failedAddresses.set(address, true)
      // Rejected only when the limiter is closed: the process is going.
      noteFailedLogin(address).catch(() => {})
    },
    isBlocked: (address) => (blockedUntilMs.get(address) ?? 0) > performance.now(),
    afterAuth: rateLimit<Request>({
      limiter: http,
      ids: answerIds,
      setHeader: addField,
      keys: (request) => [
        ...(request.auth ? [{ policy: 'http_user', key: userKey(request.auth.subject) }] : []),
        { policy: 'http_ip', key: addressKey(addressOf(request)) },
      ],
    }),
    async socket(type, session) {
      const decision = await limiterOf(session).judge(type)
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

function isCounted(type: string): type is Counted {
  return Object.hasOwn(messageCosts, type)
}
