import { developmentSecret } from './dev-token.ts'
import type { WantedPort } from './ports.ts'

/** What `npm start` runs with: the caller's environment, completed for a laptop. */
export interface DevSettings {
  readonly host: string
  readonly port: number
  readonly gatewayEnv: NodeJS.ProcessEnv
  readonly demoEnv: NodeJS.ProcessEnv
  /** HS256 secret for the printed tokens and those of the page; undefined when there must be neither. */
  readonly tokenSecret: string | undefined
  readonly ports: readonly WantedPort[]
}

/** Ports of the demo platform (the topology of the services it stands for), by the variable that moves them. */
const demoPorts = {
  BALANCE_GRPC_PORT: 50_051,
  PLAYER_GRPC_PORT: 50_052,
  GAME_GRPC_PORT: 50_053,
  EVENT_GRPC_PORT: 50_054,
  NOTIFY_GRPC_PORT: 50_055,
  BALANCE_HTTP_PORT: 3002,
  DEMO_CONTROL_PORT: 3003,
  DEMO_PAGE_PORT: 3004,
} as const

/** Completes an environment. Throws with one sentence when a port is not a number. */
export function devSettings(environment: NodeJS.ProcessEnv): DevSettings {
  // Blank counts as unset, as in the programs themselves.
  const env = Object.fromEntries(Object.entries(environment).filter(([, value]) => value?.trim()))
  const host = env['HOST'] ?? '127.0.0.1'
  const port = portOf(env, 'PORT', 4000)
  const metricsPort = portOf(env, 'METRICS_PORT', 9104)
  const internalPort = portOf(env, 'INTERNAL_PORT', 4001)

  const mode = env['NODE_ENV'] ?? 'development'
  const givenSecret = env['JWT_HS256_SECRET'] ?? env['JWT_SECRET']
  const development = mode === 'development'
  const secret = givenSecret ?? (development ? developmentSecret : undefined)
  const tokenSecret = development && env['JWT_PUBLIC_KEY'] === undefined ? secret : undefined

  const parts = Object.entries(demoPorts).filter(
    ([variable]) => variable !== 'DEMO_PAGE_PORT' || tokenSecret !== undefined,
  )
  const demo = parts.map(([variable, fallback]) => ({
    variable,
    port: portOf(env, variable, fallback),
    owner: 'the demo platform',
    movable: env[variable] === undefined,
  }))
  const [balance, player, game, event, notify, balanceHttp] = demo.map((entry) => `localhost:${entry.port}`)
  const pagePort = demo.find(({ variable }) => variable === 'DEMO_PAGE_PORT')?.port
  const shared = {
    ...env,
    NODE_ENV: mode,
    HOST: host,
    METRICS_HOST: env['METRICS_HOST'] ?? host,
    ...(secret === undefined ? {} : { JWT_HS256_SECRET: secret }),
  }
  return {
    host,
    port,
    gatewayEnv: {
      BALANCE_SERVICE_URL: balance,
      PLAYER_SERVICE_URL: player,
      GAME_SERVICE_URL: game,
      EVENT_SERVICE_URL: event,
      NOTIFY_SERVICE_URL: notify,
      BALANCE_SERVICE_HTTP_URL: balanceHttp,
      OTEL_SDK_DISABLED: env['OTEL_EXPORTER_OTLP_ENDPOINT'] === undefined ? 'true' : 'false',
      SHUTDOWN_TIMEOUT_MS: '5000',
      // All demo users and their robots come from one address here.
      WS_RATE_LIMIT_MAX: '200',
      ...(pagePort === undefined ? {} : { DEMO_PAGE_URL: `http://127.0.0.1:${pagePort}` }),
      API_DOCS: String(development),
      ...shared,
      PORT: String(port),
      METRICS_PORT: String(metricsPort),
      INTERNAL_PORT: String(internalPort),
    },
    demoEnv: {
      GATEWAY_PUBLISH_URL: `localhost:${internalPort}`,
      ...shared,
      // Its services are for this gateway, which calls them on loopback wherever it listens itself.
      HOST: '127.0.0.1',
      ...Object.fromEntries(demo.map((entry) => [entry.variable, String(entry.port)])),
    },
    tokenSecret,
    ports: [
      { port, variable: 'PORT', owner: 'the gateway' },
      { port: metricsPort, variable: 'METRICS_PORT', owner: "the gateway's metrics" },
      { port: internalPort, variable: 'INTERNAL_PORT', owner: "the gateway's internal calls" },
      ...demo,
    ],
  }
}

function portOf(env: NodeJS.ProcessEnv, variable: string, fallback: number): number {
  const text = env[variable]
  if (text === undefined) return fallback
  const port = Number(text)
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port
  throw new Error(`${variable} must be a port from 1 to 65535, not "${text}".`)
}
