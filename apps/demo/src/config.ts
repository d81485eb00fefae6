import * as z from 'zod'
import { parsePublicKey } from './balance/token-check.ts'

/** Signs tokens for local play when no key is configured; refused in production. */
export const developmentSecret = 'development-only-secret-0123456789abcdef'

const port = (fallback: number): z.ZodDefault<z.ZodCoercedNumber> =>
  z.coerce.number().int().min(0).max(65_535).default(fallback)
const delayMs = (fallback: number): z.ZodDefault<z.ZodCoercedNumber> =>
  z.coerce.number().int().min(0).max(600_000).default(fallback)

/** Every variable that the demo reads, with its default; the README's table is made of it. Port 0: a free one is taken. */
export const configSchema = z
  .object({
    HOST: z.string().min(1).default('127.0.0.1').describe('Address to listen on'),
    BALANCE_HTTP_PORT: port(3002).describe("Balance's HTTP API"),
    BALANCE_GRPC_PORT: port(50_051).describe('balance.BalanceService'),
    PLAYER_GRPC_PORT: port(50_052).describe('player.PlayerService'),
    GAME_GRPC_PORT: port(50_053).describe('game.GameService'),
    EVENT_GRPC_PORT: port(50_054).describe('event.EventService'),
    NOTIFY_GRPC_PORT: port(50_055).describe('notify.NotifyService'),
    DEMO_CONTROL_PORT: port(3003).describe('Control API, always on loopback'),
    DEMO_PAGE_PORT: z.coerce
      .number()
      .int()
      .min(0)
      .max(65_535)
      .optional()
      .describe('The web page, on loopback; only with `NODE_ENV=development` and an HS256 key'),
    REDIS_URL: z
      .url({ protocol: /^rediss?$/ })
      .optional()
      .describe('Publish updates through this Redis'),
    GATEWAY_PUBLISH_URL: z
      .string()
      .regex(/^[^\s/]+:\d+$/, 'must be host:port')
      .default('localhost:4001')
      .describe("Without Redis: a gateway's internal gRPC port"),
    JWT_HS256_SECRET: z.string().min(32).optional().describe("Balance's HS256 key"),
    JWT_SECRET: z.string().min(32).optional().describe('The same by its older name'),
    JWT_PUBLIC_KEY: z
      .string()
      .refine(isPublicKey, 'must be a PEM public key or its base64')
      .optional()
      .describe("Balance's RS256 key; wins over the secret"),
    JWT_ISSUER: z.string().min(1).optional().describe("`iss` of the page's tokens"),
    JWT_AUDIENCE: z.string().min(1).optional().describe("`aud` of the page's tokens"),
    HAND_START_DELAY_MS: delayMs(1500).describe('From two players with chips to the first hand'),
    NEXT_HAND_DELAY_MS: delayMs(3000).describe('From one hand to the next'),
    MAX_SPECTATORS: z.coerce.number().int().min(0).max(10_000).default(500).describe('Spectators of a table'),
    EVENT_ACCEPT_SESSIONS: z
      .stringbool()
      .prefault('false')
      .describe('Event takes SESSION_STARTED and SESSION_ENDED'),
    NODE_ENV: z.string().optional().describe('`production` requires a key of your own'),
  })
  .refine(
    (env) => env.NODE_ENV !== 'production' || env.JWT_PUBLIC_KEY || env.JWT_HS256_SECRET || env.JWT_SECRET,
    {
      path: ['JWT_HS256_SECRET'],
      message: 'is required in production (or JWT_PUBLIC_KEY)',
    },
  )
  // The page hands a token to whoever asks: never where NODE_ENV doesn't say that this is a developer's machine.
  .refine((env) => env.DEMO_PAGE_PORT === undefined || env.NODE_ENV === 'development', {
    path: ['DEMO_PAGE_PORT'],
    message: 'is for NODE_ENV=development only',
  })
  .refine((env) => env.DEMO_PAGE_PORT === undefined || env.JWT_PUBLIC_KEY === undefined, {
    path: ['DEMO_PAGE_PORT'],
    message: 'needs an HS256 key to sign tokens with: unset JWT_PUBLIC_KEY',
  })

/** The demo's settings. */
export interface Config {
  readonly host: string
  readonly ports: Ports
  readonly redisUrl: string | undefined
  readonly gatewayPublishUrl: string
  readonly tokenKeys: { readonly hs256Secret: string; readonly publicKey: string | undefined }
  readonly handStartDelayMs: number
  readonly nextHandDelayMs: number
  readonly maxSpectators: number
  readonly acceptSessions: boolean
  /** `iss` and `aud` of the tokens that the page hands out. */
  readonly tokenClaims: { readonly issuer: string | undefined; readonly audience: string | undefined }
}

/** Where each part listens. */
export interface Ports {
  readonly balanceHttp: number
  readonly balance: number
  readonly player: number
  readonly game: number
  readonly event: number
  readonly notify: number
  readonly control: number
  /** Absent: no web page. */
  readonly page?: number | undefined
}

/** Reads the environment; blank variables count as unset. Lists every problem, each with its variable's name. */
export function loadConfig(
  env: Readonly<Record<string, string | undefined>>,
):
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly problems: readonly string[] } {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value?.trim()))
  const parsed = configSchema.safeParse(given)
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
    return { ok: false, problems }
  }
  const values = parsed.data
  const config: Config = {
    host: values.HOST,
    ports: {
      balanceHttp: values.BALANCE_HTTP_PORT,
      balance: values.BALANCE_GRPC_PORT,
      player: values.PLAYER_GRPC_PORT,
      game: values.GAME_GRPC_PORT,
      event: values.EVENT_GRPC_PORT,
      notify: values.NOTIFY_GRPC_PORT,
      control: values.DEMO_CONTROL_PORT,
      ...(values.DEMO_PAGE_PORT !== undefined && { page: values.DEMO_PAGE_PORT }),
    },
    redisUrl: values.REDIS_URL,
    gatewayPublishUrl: values.GATEWAY_PUBLISH_URL,
    tokenKeys: {
      hs256Secret: values.JWT_HS256_SECRET ?? values.JWT_SECRET ?? developmentSecret,
      publicKey: values.JWT_PUBLIC_KEY,
    },
    handStartDelayMs: values.HAND_START_DELAY_MS,
    nextHandDelayMs: values.NEXT_HAND_DELAY_MS,
    maxSpectators: values.MAX_SPECTATORS,
    acceptSessions: values.EVENT_ACCEPT_SESSIONS,
    tokenClaims: { issuer: values.JWT_ISSUER, audience: values.JWT_AUDIENCE },
  }
  return { ok: true, config: Object.freeze(config) }
}

function isPublicKey(text: string): boolean {
  try {
    parsePublicKey(text)
    return true
  } catch {
    return false
  }
}
