/** Real processes: the demo platform, and gateways that can be killed and started anew. */
import { signToken } from '@gw/testing'
import { type DevProcess, startProcess } from '../lib/dev-process.ts'
import { isObject } from '../lib/workspace.ts'

const secret = 'only-for-chaos-0123456789-abcdefghijklmnop'
const readyTimeoutMs = 60_000

/** A token of the user for an hour. */
export function tokenOf(user: string): string {
  return signToken({ sub: user, preferred_username: user }, secret, { expiresIn: '1h' })
}

/** The first line of output with this `msg`, as an object. */
async function startAndRead(
  options: {
    readonly app: 'demo' | 'gateway'
    readonly env: Readonly<Record<string, string>>
    readonly onLine?: (line: string) => void
  },
  msg: string,
): Promise<{ readonly process: DevProcess; readonly line: Record<string, unknown> }> {
  let line: Record<string, unknown> | undefined
  const process_ = startProcess({
    name: options.app,
    entry: `apps/${options.app}/src/main.ts`,
    env: { PATH: process.env['PATH'], JWT_HS256_SECRET: secret, OTEL_SDK_DISABLED: 'true', ...options.env },
    onLine: options.onLine ?? (() => {}),
  })
  await process_.waitForLine((text) => {
    if (!text.includes(`"${msg}"`)) return false
    const value: unknown = JSON.parse(text)
    if (isObject(value)) line = value
    return line !== undefined
  })
  return { process: process_, line: line ?? {} }
}

/** The services behind the gateway. */
export interface Platform {
  /** Where a gateway finds them. */
  readonly env: Readonly<Record<string, string>>
  stop(): Promise<unknown>
}

/** Starts the demo platform on free ports. */
export async function startPlatform(): Promise<Platform> {
  const names = [
    'BALANCE_HTTP',
    'BALANCE_GRPC',
    'PLAYER_GRPC',
    'GAME_GRPC',
    'EVENT_GRPC',
    'NOTIFY_GRPC',
    'DEMO_CONTROL',
  ]
  const env = Object.fromEntries(names.map((name) => [`${name}_PORT`, '0']))
  const { process, line } = await startAndRead({ app: 'demo', env }, 'demo_ready')
  const ports = isObject(line['ports']) ? line['ports'] : {}
  const at = (name: string): string => `127.0.0.1:${Number(ports[name])}`
  return {
    env: {
      GAME_SERVICE_URL: at('game'),
      PLAYER_SERVICE_URL: at('player'),
      BALANCE_SERVICE_URL: at('balance'),
      EVENT_SERVICE_URL: at('event'),
      NOTIFY_SERVICE_URL: at('notify'),
      BALANCE_SERVICE_HTTP_URL: at('balanceHttp'),
    },
    stop: () => process.stop(5000),
  }
}

/** One gateway process. */
export interface GatewayProcess {
  readonly url: string
  readonly wsUrl: string
  readonly internalPort: number
  readonly pid: number
  /** Connections that ended. */
  readonly closes: number
  /** SIGTERM or SIGKILL; resolves when it is gone. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>
}

/** Starts a gateway; resolves when `/ready` is 200. */
export async function startGateway(env: Readonly<Record<string, string>>): Promise<GatewayProcess> {
  const loopback = {
    HOST: '127.0.0.1',
    METRICS_HOST: '127.0.0.1',
    PORT: '0',
    METRICS_PORT: '0',
    INTERNAL_PORT: '0',
  }
  const limits = {
    MAX_CONNECTIONS_PER_USER: '1000',
    MAX_CONNECTIONS_PER_ADDRESS: '10000',
    HTTP_RATE_LIMIT_MAX: '100000',
  }
  let closes = 0
  const onLine = (text: string): void => {
    if (text.includes('"connection_closed"')) closes++
  }
  const { process, line } = await startAndRead(
    { app: 'gateway', env: { ...loopback, ...limits, ...env }, onLine },
    'started',
  )
  const port = Number(line['port'])
  const url = `http://127.0.0.1:${port}`
  const late = AbortSignal.timeout(readyTimeoutMs)
  for (let status = 0; status !== 200;) {
    const response = await fetch(`${url}/ready`, { signal: late })
    await response.body?.cancel()
    status = response.status
  }
  return {
    url,
    wsUrl: `ws://127.0.0.1:${port}/ws`,
    internalPort: Number(line['internalPort']),
    pid: process.pid ?? 0,
    get closes() {
      return closes
    },
    async end(signal) {
      if (signal === 'SIGKILL') process.kill()
      else await process.stop(20_000)
      await process.ended
    },
  }
}
