/**
 * The settings of the gateway: the only file that knows the environment's names.
 * Type, default and description of each setting stand in one schema; the README's table is generated from it.
 */
import { AuthError, createTokenVerifier, type KeySource } from '@gw/auth'
import { z } from 'zod'

const port = (fallback: number) => z.coerce.number().int().min(0).max(65_535).default(fallback)
const durationMs = (fallback: number) => z.coerce.number().int().min(1).max(2_147_483_647).default(fallback)
/** Of a rate limit: at most a day. */
const windowMs = (fallback: number) => z.coerce.number().int().min(1).max(86_400_000).default(fallback)
const count = (fallback: number) => z.coerce.number().int().min(1).max(10_000_000).default(fallback)
const bytes = (fallback: number) => z.coerce.number().int().min(1024).max(1_073_741_824).default(fallback)
const flag = (fallback: boolean) =>
  z
    .string()
    .toLowerCase()
    .pipe(z.enum(['1', 'true', 'yes', 'y', 'on', '0', 'false', 'no', 'n', 'off']))
    .transform((word) => ['1', 'true', 'yes', 'y', 'on'].includes(word))
    .default(fallback)
const share = (fallback: number) => z.coerce.number().min(0).max(1).default(fallback)
const list = (fallback: readonly string[]) =>
  z
    .string()
    .transform((text) =>
      text
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== ''),
    )
    .default([...fallback])
const hostPort = (fallback: string) =>
  z
    .string()
    .regex(
      /^(?:(?:[a-z][a-z0-9+.-]*:\/\/)?[^\s/:,]+:\d{1,5}\/?|dns:\/\/\/[^\s/:,]+:\d{1,5}|ipv[46]:[^\s/]+)$/i,
      'must be host:port, dns:///host:port or ipv4:address:port,…',
    )
    .default(fallback)
const someHttpUrl = z
  .string()
  .transform((text) => (/^https?:\/\//i.test(text) ? text : `http://${text}`))
  .refine((text) => URL.canParse(text) && new URL(text).pathname === '/', 'must be an origin or host:port')
  .transform((text) => new URL(text).origin)
const httpUrl = (fallback: string) => someHttpUrl.default(fallback)
const optionalHttpUrl = someHttpUrl.optional()
const file = z.string().min(1).optional()
/** W3C Baggage's `key=value,key=value`, percent-encoded. */
const attributes = z
  .string()
  .regex(/^[^=,\s]+=[^=,]*(?:,[^=,\s]+=[^=,]*)*$/, 'must be key=value, comma-separated')
  .transform((text) =>
    Object.fromEntries(
      text.split(',').map((pair) => {
        const [key = '', value = ''] = pair.split('=')
        return [key.trim(), decoded(value.trim())]
      }),
    ),
  )
  .optional()
const samplers = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const
const origin = z
  .string()
  .refine((text) => text === '*' || (URL.canParse(text) && new URL(text).origin === text), {
    message: 'must be an origin such as https://play.example (no path)',
  })

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Every variable that the gateway reads. Order is the order of the README's table. */
const schema = z.object({
  HOST: z.string().min(1).default('0.0.0.0').describe('Address that the public port listens on.'),
  PORT: port(4000).describe('Public port: HTTP and WebSocket (`/ws`).'),
  METRICS_HOST: z.string().min(1).default('0.0.0.0').describe('Address of the metrics port.'),
  METRICS_PORT: port(9100).describe('Port of `/metrics`.'),
  INTERNAL_HOST: z
    .string()
    .min(1)
    .default('127.0.0.1')
    .describe('Address of the internal port. Never expose it to clients.'),
  INTERNAL_PORT: port(4001).describe('Internal port: backends publish to channels here by gRPC.'),
  ADMIN_TOKEN: z
    .string()
    .min(32, 'must be at least 32 characters (openssl rand -base64 48)')
    .optional()
    .describe('Opens the admin API and its console to whoever has it. Without it there is neither.'),
  ADMIN_HOST: z
    .string()
    .min(1)
    .default('127.0.0.1')
    .describe('Address of the admin port. Never expose it to clients.'),
  ADMIN_PORT: port(4002).describe('Admin port: API and console (docs/admin.md).'),
  WORKERS: z.coerce
    .number()
    .int()
    .min(1)
    .max(64)
    .default(1)
    .describe(
      'Processes that share the ports, each an instance of its own (docs/scale.md). More than 1 needs Redis.',
    ),
  INSTANCE_ID: z
    .string()
    .regex(/^[\w.-]{1,64}$/, 'must be 1-64 letters, digits, dots, dashes')
    .optional()
    .describe('Name of this instance, unique in the fleet. Default: a fresh UUID per start.'),
  REDIS_URL: z
    .string()
    .refine(
      (text) => text.split(',').every((url) => /^rediss?:\/\//.test(url.trim()) && URL.canParse(url.trim())),
      'must start with redis:// or rediss://',
    )
    .optional()
    .describe(
      'Redis of the fleet; several with commas, see `REDIS_MODE`. Without it all is in memory, for one instance.',
    ),
  REDIS_MODE: z
    .enum(['single', 'sentinel', 'cluster'])
    .default('single')
    .describe(
      'What `REDIS_URL` names: the one Redis, the Sentinels that know it, or some nodes of a Cluster.',
    ),
  REDIS_SENTINEL_MASTER: z
    .string()
    .min(1)
    .default('mymaster')
    .describe('What the Sentinels call the master.'),
  REDIS_PREFIX: z
    .string()
    .regex(/^[\w.-]{1,32}$/, 'must be 1-32 letters, digits, dots, dashes')
    .default('gw')
    .describe('Prefix of every key that the gateway writes. Instances with the same prefix are one fleet.'),
  REDIS_ON_NEW_MASTER: z
    .enum(['keep', 'reset'])
    .default('keep')
    .describe(
      'After a failover or a restart of Redis channels go on (`keep`), or all are reset, which rules out a false `recovered: true`.',
    ),
  REDIS_TIMEOUT_MS: durationMs(1000).describe('Deadline of a Redis command.'),
  JWT_HS256_SECRET: z
    .string()
    .optional()
    .describe('HS256 secret, at least 32 bytes. Verifies tokens without `kid`.'),
  JWT_SECRET: z.string().optional().describe('Older name of `JWT_HS256_SECRET`.'),
  JWT_PUBLIC_KEY: z
    .string()
    .optional()
    .describe('RS256 public key, PEM or bare base64. Wins over every other key source.'),
  JWT_ISSUER: z.string().min(1).optional().describe('Expected `iss`; checked when set.'),
  JWT_AUDIENCE: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Expected `aud` or `azp`; checked when set. With `JWT_ISSUER` it opens `POST /backchannel-logout`.',
    ),
  JWT_CLOCK_SKEW_MS: z.coerce
    .number()
    .int()
    .min(0)
    .max(300_000)
    .default(30_000)
    .describe('Tolerated clock difference to the identity provider.'),
  REVOCATION_FAIL_OPEN: flag(true).describe(
    'When the list of revoked tokens is a minute old, as without Redis: `true` goes on with what is known, `false` refuses all tokens as `auth_unavailable`.',
  ),
  KEYCLOAK_URL: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe(
      'Keycloak, for tokens with `kid`. Default `http://localhost:8080` when no secret and no public key is set.',
    ),
  KEYCLOAK_REALM: z.string().min(1).default('poker-local').describe('Keycloak realm.'),
  GAME_SERVICE_URL: hostPort('localhost:50053').describe(
    'Game, gRPC: `host:port`; `dns:///host:port` spreads calls over all addresses of the name.',
  ),
  PLAYER_SERVICE_URL: hostPort('localhost:50052').describe('Player, gRPC.'),
  BALANCE_SERVICE_URL: hostPort('localhost:50051').describe(
    'Balance, gRPC. Kept for compatibility: the gateway calls none of its RPCs.',
  ),
  EVENT_SERVICE_URL: hostPort('localhost:50054').describe('Event, gRPC.'),
  NOTIFY_SERVICE_URL: hostPort('localhost:50055').describe('Notify, gRPC.'),
  BALANCE_SERVICE_HTTP_URL: httpUrl('http://localhost:3002').describe(
    'Balance, HTTP: target of `/api/accounts*`. The scheme may be left out.',
  ),
  GAME_SERVICE_HTTP_URL: optionalHttpUrl.describe(
    'Game, HTTP. When set, `/api/tables*` is proxied to it instead of being answered over gRPC.',
  ),
  PLAYER_SERVICE_HTTP_URL: optionalHttpUrl.describe(
    'Player, HTTP. When set, `/api/me*`, `/api/profile*`, `/api/friends*` and `/api/nicknames` are proxied to it.',
  ),
  EVENT_SERVICE_HTTP_URL: optionalHttpUrl.describe('Event, HTTP. When set, `/api/audit*` is proxied to it.'),
  BACKEND_TLS: flag(false).describe('TLS to the gRPC services. An HTTP service says `https://` in its URL.'),
  BACKEND_TLS_CA_FILE: file.describe(
    'PEM file of the authorities that vouch for backends, gRPC and HTTP. Default: the system’s.',
  ),
  BACKEND_TLS_CERT_FILE: file.describe(
    'PEM file of the certificate that the gateway shows to backends (mTLS).',
  ),
  BACKEND_TLS_KEY_FILE: file.describe('PEM file of that certificate’s key.'),
  BACKEND_TLS_SERVER_NAME: z
    .string()
    .min(1)
    .max(253)
    .optional()
    .describe('Name that backends’ certificates carry, where it is not the host of the address.'),
  GRPC_CLIENT_TIMEOUT_MS: z.coerce
    .number()
    .int()
    .min(0)
    .max(2_147_483_647)
    .transform((ms) => (ms === 0 ? 60_000 : ms))
    .default(2000)
    .describe('Deadline of a gRPC call. 0, once no deadline, is a minute.'),
  REQUEST_BUDGET_MS: durationMs(5000).describe(
    'Time that all backend calls of one HTTP request share; a client shortens its own by `X-Request-Timeout-Ms`.',
  ),
  PROXY_TIMEOUT_MS: durationMs(10_000).describe('Deadline of a proxied request, to its last byte.'),
  PROXY_MAX_BODY_BYTES: bytes(10_485_760).describe('Largest body of a proxied request.'),
  HTTP_HEADERS_TIMEOUT_MS: z.coerce
    .number()
    .int()
    .min(500)
    .max(30_000)
    .default(5000)
    .describe('Time from a connection to the last header of a request or handshake.'),
  CORS_ORIGIN: list(['http://localhost:3000'])
    .pipe(z.array(origin).min(1))
    .describe(
      'Origins that browsers may call from, comma-separated; also the allow-list for WebSocket handshakes that send an `Origin`.',
    ),
  TRUST_PROXY_HOPS: z.coerce
    .number()
    .int()
    .min(0)
    .max(16)
    .default(0)
    .describe('Reverse proxies in front whose `X-Forwarded-For` entry is believed.'),
  HTTP_RATE_LIMIT_WINDOW_MS: windowMs(60_000).describe('Window of the HTTP limits.'),
  HTTP_RATE_LIMIT_MAX: count(100).describe('HTTP requests per window, for a user and for an address.'),
  HTTP_RATE_LIMIT_FAIL_OPEN: flag(true).describe(
    'When Redis is away: `true` limits locally, `false` answers 503.',
  ),
  WS_RATE_LIMIT_WINDOW_MS: windowMs(10_000).describe('Window of the WebSocket limits.'),
  WS_RATE_LIMIT_MAX: count(20).describe(
    'Actions, and chat lines, per window, for a user and for an address; 15 times as many units of other messages. One socket may send 7 times as many messages of all kinds, at most 10 000.',
  ),
  WS_RATE_LIMIT_FAIL_OPEN: flag(true).describe('When Redis is away: `true` limits locally, `false` refuses.'),
  WS_QUERY_TOKEN_AUTH: flag(false).describe(
    'Accept `?token=` on the WebSocket URL. Tokens in URLs end up in logs of proxies: leave it off.',
  ),
  CHAT_MUTE_FAIL_OPEN: flag(false).describe(
    "When Game can't say who is muted: `true` lets chat lines pass, `false` refuses them as `unavailable`.",
  ),
  WS_AUTH_TIMEOUT_MS: durationMs(5000).describe('Time from the handshake to a good `Authenticate`.'),
  WS_TOKEN_GRACE_MS: durationMs(30_000).describe(
    "How long a socket stays open after its token's end, for a new `Authenticate`.",
  ),
  WS_MAX_PAYLOAD_BYTES: bytes(65_536).describe('Largest message of a client.'),
  WS_PING_INTERVAL_MS: durationMs(20_000).describe(
    'Protocol ping interval. A socket from which nothing came when the next ping is due is dead.',
  ),
  MAX_CONNECTIONS: count(20_000).describe('Sockets of this instance.'),
  MAX_CONNECTIONS_PER_ADDRESS: count(200).describe('Sockets of one client address on this instance.'),
  MAX_UNAUTHENTICATED: count(2000).describe('Sockets of this instance that have not authenticated yet.'),
  WS_ACCEPTS_PER_SECOND: count(2000).describe('New sockets per second; more are refused with 503.'),
  WS_ACCEPTS_PER_SECOND_PER_ADDRESS: count(200).describe(
    'New sockets per second of one client address; at once, `MAX_CONNECTIONS_PER_ADDRESS`.',
  ),
  MAX_CONNECTIONS_PER_USER: count(20).describe('Sockets of one user on this instance.'),
  DEMO_PAGE_URL: z
    .url({
      protocol: /^http$/,
      hostname: /^(?:localhost|127\.0\.0\.1)$/,
      error: 'must be an http URL of loopback',
    })
    .optional()
    .describe(
      "Development only (`NODE_ENV=development`, else the gateway doesn't start): the demo's page, relayed under `/demo` without a token.",
    ),
  API_DOCS: flag(false).describe(
    'A page of the HTTP API at `/docs`; `npm start` has it on. `/openapi.json` is always there.',
  ),
  VAPID_PUBLIC_KEY: z.string().min(1).optional().describe('Web push public key handed to browsers.'),
  NATIVE_SEND: flag(true).describe(
    'Write a message to many sockets in one call, where the addon is built (`packages/send-all`).',
  ),
  LOG_LEVEL: z
    .enum(['error', 'warn', 'info', 'debug', 'fatal', 'silent', 'trace'])
    .transform((name) => {
      switch (name) {
        case 'fatal':
        case 'silent':
          return 'error'
        case 'trace':
          return 'debug'
        default:
          return name
      }
    })
    .default('info')
    .describe(
      'Least level that is logged: `error`, `warn`, `info` or `debug`. Of older names `trace` is `debug`, `fatal` and `silent` are `error`.',
    ),
  LOG_MESSAGE_SAMPLE: share(0.01).describe('Share of client messages that get a log line of their own.'),
  SHUTDOWN_TIMEOUT_MS: durationMs(15_000).describe('Longest time from SIGTERM to exit.'),
  OTEL_SDK_DISABLED: flag(false).describe('Switch tracing off.'),
  OTEL_SERVICE_NAME: z.string().min(1).default('gateway-service').describe('Name of the service in traces.'),
  OTEL_RESOURCE_ATTRIBUTES: attributes.describe(
    'More about this process in every trace: `key=value`, comma-separated.',
  ),
  OTEL_EXPORTER_OTLP_ENDPOINT: z
    .url()
    .optional()
    .describe('OTLP/gRPC collector. Without it no spans are exported.'),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: z.url().optional().describe('The same for traces alone; wins.'),
  OTEL_TRACES_EXPORTER: z
    .enum(['otlp', 'none'])
    .default('otlp')
    .describe('`none` switches tracing off, as `OTEL_SDK_DISABLED` does.'),
  OTEL_TRACES_SAMPLER: z
    .enum(samplers)
    .default('parentbased_traceidratio')
    .describe('Which traces are kept; failed spans are kept always.'),
  OTEL_TRACES_SAMPLER_ARG: share(0.01).describe('Share of the traces that begin here and are kept.'),
  OTEL_BSP_SCHEDULE_DELAY: durationMs(2000).describe('Spans are sent at the latest after this time, in ms.'),
  OTEL_BSP_EXPORT_TIMEOUT: durationMs(5000).describe('Deadline of sending spans, in ms.'),
  OTEL_BSP_MAX_QUEUE_SIZE: count(2048).describe('Spans that may wait; more are dropped and counted.'),
  OTEL_BSP_MAX_EXPORT_BATCH_SIZE: count(512).describe('Spans that are sent together.'),
})

type Environment = Readonly<Record<string, string | undefined>>

/** All settings, typed, under the names of their variables. Frozen. */
export type Config = Readonly<z.output<typeof schema>>

/** Thrown by {@link loadConfig}: every problem at once, each with the variable's name, never with its value. */
export class ConfigError extends Error {
  readonly code = 'invalid_config'
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(`Invalid configuration:\n${problems.map((problem) => `  ${problem}`).join('\n')}`)
    this.name = 'ConfigError'
    this.problems = problems
  }
}

/** Parses the environment. Empty variables count as absent. Throws {@link ConfigError} with all problems. */
export function loadConfig(env: Environment): Config {
  const present = Object.entries(env).filter(([, value]) => value !== undefined && value.trim() !== '')
  const parsed = schema.safeParse(Object.fromEntries(present))
  const problems = parsed.success
    ? []
    : parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
  for (const [name, sourceOf] of Object.entries(givenKeys)) {
    // The older name is not looked at beside the newer one.
    const given = name === 'JWT_SECRET' && env['JWT_HS256_SECRET']?.trim() ? '' : env[name]?.trim()
    const problem = given ? keyProblem(sourceOf(given)) : undefined
    if (problem !== undefined) problems.push(`${name}: ${problem}`)
  }
  if (Boolean(env['BACKEND_TLS_CERT_FILE']?.trim()) !== Boolean(env['BACKEND_TLS_KEY_FILE']?.trim()))
    problems.push('BACKEND_TLS_CERT_FILE: needs BACKEND_TLS_KEY_FILE, and the other way round')
  if (env['DEMO_PAGE_URL']?.trim() && env['NODE_ENV']?.trim() !== 'development')
    problems.push('DEMO_PAGE_URL: is for NODE_ENV=development only')
  if (parsed.success && parsed.data.REDIS_MODE === 'single' && parsed.data.REDIS_URL?.includes(','))
    problems.push('REDIS_URL: several addresses need REDIS_MODE sentinel or cluster')
  if (parsed.success && parsed.data.WORKERS > 1 && parsed.data.REDIS_URL === undefined)
    problems.push('WORKERS: more than 1 needs REDIS_URL, where workers meet')
  if (!parsed.success || problems.length > 0) throw new ConfigError(problems)
  return Object.freeze(parsed.data)
}

const secretSource = (secret: string): KeySource => ({ kind: 'secret', secret })
/** The keys that stand in the settings themselves. */
const givenKeys: Readonly<Record<string, (given: string) => KeySource>> = {
  JWT_PUBLIC_KEY: (key) => ({ kind: 'public-key', key }),
  JWT_HS256_SECRET: secretSource,
  JWT_SECRET: secretSource,
}

/** Why tokens could not be verified with it. */
function keyProblem(source: KeySource): string | undefined {
  try {
    void createTokenVerifier({ keys: [source] }).close()
    return undefined
  } catch (error) {
    if (error instanceof AuthError) return error.message
    throw error
  }
}

/** The README's table: one row a variable, made from the schema. */
export function configTable(): string {
  const rows = Object.entries(schema.shape).map(([name, setting]) => {
    const fallback: unknown = setting.safeParse(undefined).data
    const shown = fallback === undefined ? '–' : `\`${JSON.stringify(fallback).replaceAll(/["[\]]/g, '')}\``
    return `| \`${name}\` | ${shown} | ${setting.description ?? ''} |`
  })
  return ['| variable | default | meaning |', '| --- | --- | --- |', ...rows].join('\n')
}
