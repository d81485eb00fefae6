/**
 * What all gateway scenarios share:
 *
 *   publishers ─gRPC─▶ two gateways ─▶ a link that can be cut ─▶ one Redis
 *   subscribers ─WebSocket─▶ ▲
 */
import { createLink, startRedis, type TestLink, type TestRedis } from '@gw/testing'
import { isObject } from '../lib/workspace.ts'
import { type IdentityProvider, startIdentityProvider } from './identity-provider.ts'
import { type GatewayProcess, startGateway, startPlatform, tokenOf } from './gateway-process.ts'

/** Running gateways, by their places 0 and 1. */
export interface Fleet {
  readonly redis: TestRedis
  readonly link: TestLink
  /** Tokens that a gateway verifies slowly, until it has the key. */
  readonly identityProvider: IdentityProvider
  /** Those that run now. */
  readonly gateways: readonly GatewayProcess[]
  /** Ends the gateway of a place; nobody is sent there any more. */
  end(place: number, signal: 'SIGTERM' | 'SIGKILL'): Promise<void>
  /** Starts gateways in the empty places. */
  refill(): Promise<void>
  /** A new table with one seated player, whose sockets may read its chat's past. */
  createTable(user: string): Promise<string>
  stop(): Promise<void>
}

const places = [0, 1]
/** Well within the gateway's own deadline for it, also on a busy machine. */
const keyDelayMs = 700

/** Starts Redis, the platform and two gateways: a few seconds. */
export async function startFleet(): Promise<Fleet> {
  const redis = await startRedis()
  const link = await createLink({ target: redis.url })
  const platform = await startPlatform()
  const identityProvider = await startIdentityProvider(keyDelayMs)
  const running = new Map<number, GatewayProcess>()
  const env = {
    ...platform.env,
    REDIS_URL: link.url,
    KEYCLOAK_URL: identityProvider.url,
    LOG_LEVEL: 'info',
    SHUTDOWN_TIMEOUT_MS: '8000',
    // Loss is what is counted here, not speed: a busy machine must not make a deadline part of the trouble.
    GRPC_CLIENT_TIMEOUT_MS: '10000',
    WS_AUTH_TIMEOUT_MS: '20000',
  }

  async function refill(): Promise<void> {
    const empty = places.filter((place) => !running.has(place))
    await Promise.all(empty.map(async (place) => running.set(place, await startGateway(env))))
  }

  async function post(path: string, user: string, body: object): Promise<Record<string, unknown>> {
    const [gateway] = running.values()
    const response = await fetch(`${gateway?.url}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${tokenOf(user)}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    const answer: unknown = await response.json()
    if (!response.ok || !isObject(answer))
      throw new Error(`${path}: ${response.status} ${JSON.stringify(answer)}`)
    return answer
  }

  await refill()
  return {
    redis,
    link,
    identityProvider,
    get gateways() {
      return [...running.values()]
    },
    async end(place, signal) {
      const gateway = running.get(place)
      running.delete(place)
      await gateway?.end(signal)
    },
    refill,
    async createTable(user) {
      const tableId = String((await post('/api/tables', user, { name: 'Chaos' }))['table_id'])
      await post(`/api/tables/${tableId}/join`, user, { seatId: 0 })
      return tableId
    },
    async stop() {
      await Promise.all([...running.values()].map((gateway) => gateway.end('SIGKILL')))
      await platform.stop()
      await link.close()
      identityProvider.close()
      redis.stop()
    },
  }
}
