/**
 * The proxies to services with an HTTP API, and the paths they take. Balance always has one; Game, Player and Event when
 * their URL is set: then the service answers its part of the API itself, instead of the gateway over gRPC, and checks
 * itself what a caller may do. It knows the caller by `x-user-id`.
 */
import type { Request, RequestHandler } from 'express'
import type { Config } from '../config.ts'
import type { BackendGuard } from '../grpc/backend-guard.ts'
import { createProxyTracer } from '../observe/traced-proxy.ts'
import type { ProxyDispatcher } from './proxy-dispatcher.ts'
import { createProxy, type ProxyResult } from './proxy.ts'

export type ProxiedService = 'game' | 'player' | 'balance' | 'event'

/** One prefix of paths, mounted in front of the routes. */
export interface MountableProxy {
  readonly prefix: string
  readonly handler: RequestHandler
}

export interface ProxiesOptions {
  readonly config: Pick<
    Config,
    | 'GAME_SERVICE_HTTP_URL'
    | 'PLAYER_SERVICE_HTTP_URL'
    | 'BALANCE_SERVICE_HTTP_URL'
    | 'EVENT_SERVICE_HTTP_URL'
    | 'PROXY_TIMEOUT_MS'
    | 'PROXY_MAX_BODY_BYTES'
  >
  readonly dispatcher: ProxyDispatcher
  /** One guard per service, apart from that of its gRPC side. */
  readonly guardOf: (service: ProxiedService) => BackendGuard
  readonly headers: (request: Request) => Readonly<Record<string, string>>
  readonly onResult: (service: ProxiedService, result: ProxyResult) => void
}

const prefixes: Readonly<Record<ProxiedService, readonly string[]>> = {
  game: ['/api/tables'],
  player: ['/api/me', '/api/profile', '/api/friends', '/api/nicknames'],
  balance: ['/api/accounts'],
  event: ['/api/audit'],
}

/** Creates the handlers by service; a service without a URL has none. */
export function createProxies(options: ProxiesOptions): readonly MountableProxy[] {
  const { config, dispatcher, guardOf, headers, onResult } = options

  function proxyTo(service: ProxiedService, target: string | undefined): readonly MountableProxy[] {
    if (target === undefined) return []
    const tracer = createProxyTracer(target)
    const handler = createProxy({
      target,
      timeoutMs: config.PROXY_TIMEOUT_MS,
      maxBodyBytes: config.PROXY_MAX_BODY_BYTES,
      dispatcher,
      guard: guardOf(service),
      headers,
      around: tracer.around,
      onResult(result, request) {
        onResult(service, result)
        tracer.onResult(result, request)
      },
    })
    return prefixes[service].map((prefix) => ({ prefix, handler }))
  }

  const proxyToGame = proxyTo('game', config.GAME_SERVICE_HTTP_URL)
  const proxyToPlayer = proxyTo('player', config.PLAYER_SERVICE_HTTP_URL)
  const proxyToBalance = proxyTo('balance', config.BALANCE_SERVICE_HTTP_URL)
  const proxyToEvent = proxyTo('event', config.EVENT_SERVICE_HTTP_URL)
  return [...proxyToGame, ...proxyToPlayer, ...proxyToBalance, ...proxyToEvent]
}
