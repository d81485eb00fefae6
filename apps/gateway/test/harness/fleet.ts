import { startRedis, type TestRedis } from '@gw/testing'
import {
  backendsOf,
  type Demo,
  type Environment,
  type GatewayProcess,
  startDemo,
  startGateway,
} from './platform.ts'

/** Nobody meets a limit that is not what the test is about. */
const roomyLimits = { HTTP_RATE_LIMIT_MAX: '100000', WS_RATE_LIMIT_MAX: '100000' }

export interface FleetOptions<E extends readonly Environment[]> {
  /** What each gateway has of its own. Default: two that are alike. */
  readonly gateways?: E
  /** What all of them have; rate limits are roomy unless they are set here. */
  readonly env?: Environment
  readonly demo?: Environment
  /** One of the caller's, who ends it. Default: one that starts and ends with the fleet. */
  readonly redis?: TestRedis
  /** For a gateway to start and to be ready, in ms. */
  readonly timeoutMs?: number
}

export interface Fleet<E extends readonly Environment[]> extends AsyncDisposable {
  readonly redis: TestRedis
  readonly demo: Demo
  readonly gateways: { readonly [At in keyof E]: GatewayProcess }
  /** For one more gateway. */
  readonly env: Environment
}

/** Gateways on one Redis, through which the demo platform publishes to them. All are ready. */
export async function startFleet<
  const E extends readonly Environment[] = readonly [Environment, Environment],
>(options: FleetOptions<E> = {}): Promise<Fleet<E>> {
  const { gateways: own = [{}, {}], timeoutMs, redis: given } = options
  const redis = given ?? (await startRedis())
  const demo = await startDemo({ REDIS_URL: redis.url, ...options.demo })
  const env = { ...backendsOf(demo), REDIS_URL: redis.url, ...roomyLimits, ...options.env }
  const gateways = await Promise.all(
    own.map((each) => startGateway({ ...env, ...each }, timeoutMs === undefined ? {} : { timeoutMs })),
  )
  await Promise.all(gateways.map((gateway) => gateway.ready(timeoutMs)))
  return {
    redis,
    demo,
    // One for each environment, in their order: a mapped tuple, which `map` does not keep.
    gateways: gateways as Fleet<E>['gateways'],
    env,
    async [Symbol.asyncDispose]() {
      for (const part of [...gateways, demo]) await part[Symbol.asyncDispose]()
      if (!given) redis.stop()
    },
  }
}

export interface SingleOptions {
  readonly env?: Environment
  readonly demo?: Environment
}

export interface Single extends AsyncDisposable {
  readonly demo: Demo
  readonly gateway: GatewayProcess
  /** For another gateway on the same demo. */
  readonly env: Environment
}

/** One gateway that keeps everything in memory, ready, and the demo platform behind it. */
export async function startSingle(options: SingleOptions = {}): Promise<Single> {
  const demo = await startDemo(options.demo)
  const env = { ...backendsOf(demo), ...roomyLimits, ...options.env }
  const gateway = await startGateway(env)
  await gateway.ready()
  return {
    demo,
    gateway,
    env,
    async [Symbol.asyncDispose]() {
      for (const part of [gateway, demo]) await part[Symbol.asyncDispose]()
    },
  }
}
