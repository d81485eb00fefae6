import { signToken } from '@gw/testing'
import { z } from 'zod'
import { type AppProcess, type AppProcessOptions, startApp } from './app-process.ts'

/** At least 32 bytes; of the tests only. */
export const secret = 'only-for-tests-0123456789-abcdefghijklmnop'

/** Variables of a process. */
export type Environment = Readonly<Record<string, string>>

/** A token as the platform's identity provider would give it. */
export function tokenOf(userId: string, claims: Readonly<Record<string, unknown>> = {}): string {
  return signToken({ sub: userId, preferred_username: userId, ...claims }, secret)
}

const demoPorts = z.object({
  ports: z.object({
    balanceHttp: z.int(),
    balance: z.int(),
    player: z.int(),
    game: z.int(),
    event: z.int(),
    notify: z.int(),
    control: z.int(),
  }),
})

const gatewayPorts = z.object({
  port: z.int(),
  metricsPort: z.int(),
  internalPort: z.int(),
  adminPort: z.int().optional(),
})

export interface Demo extends AsyncDisposable {
  readonly process: AppProcess
  readonly ports: z.output<typeof demoPorts>['ports']
  /** Faults on order: see the demo's README. */
  fault(fault: {
    readonly service: string
    readonly method?: string
    readonly kind: 'delay' | 'error' | 'hang'
    readonly [option: string]: unknown
  }): Promise<void>
  clearFaults(): Promise<void>
  /** What the services were asked, oldest first; of one service, and of one of its methods, when they are named. */
  calls(service?: string, method?: string): Promise<readonly z.output<typeof recordedCall>[]>
  forgetCalls(): Promise<void>
}

const recordedCall = z.looseObject({
  service: z.string(),
  method: z.string(),
  request: z.unknown(),
  /** What was left of the deadline; null when the caller would have waited for ever. */
  deadlineMs: z.number().nullish(),
  metadata: z.record(z.string(), z.unknown()).optional(),
})
const recordedCalls = z.object({ calls: z.array(recordedCall) })

export interface GatewayProcess extends AsyncDisposable {
  readonly process: AppProcess
  readonly url: string
  readonly wsUrl: string
  readonly metricsUrl: string
  readonly internalPort: number
  /** Of the admin API; without `ADMIN_TOKEN` there is none. */
  readonly adminUrl: string
  /** Resolves when `/ready` is 200. */
  ready(timeoutMs?: number): Promise<void>
  fetch(
    path: string,
    options?: {
      readonly userId?: string
      readonly method?: string
      readonly body?: unknown
      readonly headers?: Readonly<Record<string, string>>
      readonly signal?: AbortSignal
    },
  ): Promise<Response>
  /** Makes a table of this user, by the API; gives its id. */
  createTable(userId: string, config?: object): Promise<string>
  /** Sits a user down, by the API, where a poor one gets the bonus of the day. */
  takeSeat(userId: string, tableId: string, seatId: number): Promise<void>
}

const createdTable = z.object({ table_id: z.string() })

const freePorts = {
  BALANCE_HTTP_PORT: '0',
  BALANCE_GRPC_PORT: '0',
  PLAYER_GRPC_PORT: '0',
  GAME_GRPC_PORT: '0',
  EVENT_GRPC_PORT: '0',
  NOTIFY_GRPC_PORT: '0',
  DEMO_CONTROL_PORT: '0',
}

/** The demo platform as a process of its own, on free ports. */
export async function startDemo(env: Environment = {}): Promise<Demo> {
  const process = startApp({
    app: 'demo',
    env: {
      ...freePorts,
      JWT_HS256_SECRET: secret,
      HAND_START_DELAY_MS: '50',
      NEXT_HAND_DELAY_MS: '50',
      ...env,
    },
  })
  const { ports } = demoPorts.parse(await process.line('demo_ready'))
  const control = `http://127.0.0.1:${ports.control}`
  const faults = `${control}/faults`
  const check = async (request: Promise<Response>): Promise<void> => {
    const response = await request
    if (!response.ok) throw new Error(`control API: ${response.status} ${await response.text()}`)
  }
  return {
    process,
    ports,
    fault: (fault) =>
      check(
        fetch(faults, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(fault),
        }),
      ),
    clearFaults: () => check(fetch(faults, { method: 'DELETE' })),
    async calls(service, method) {
      const query = new URLSearchParams({ ...(service && { service }), ...(method && { method }) })
      const response = await fetch(`${control}/calls?${query.toString()}`)
      return recordedCalls.parse(await response.json()).calls
    },
    forgetCalls: () => check(fetch(`${control}/calls`, { method: 'DELETE' })),
    [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
  }
}

/** Where a gateway finds a demo. */
export function backendsOf({ ports }: Pick<Demo, 'ports'>): Environment {
  return {
    GAME_SERVICE_URL: `127.0.0.1:${ports.game}`,
    PLAYER_SERVICE_URL: `127.0.0.1:${ports.player}`,
    BALANCE_SERVICE_URL: `127.0.0.1:${ports.balance}`,
    EVENT_SERVICE_URL: `127.0.0.1:${ports.event}`,
    NOTIFY_SERVICE_URL: `127.0.0.1:${ports.notify}`,
    BALANCE_SERVICE_HTTP_URL: `127.0.0.1:${ports.balanceHttp}`,
  }
}

/** One gateway process on free ports; resolves when it listens, not when it is ready. */
export async function startGateway(
  env: Environment = {},
  options: Pick<AppProcessOptions, 'entry' | 'openFiles' | 'timeoutMs'> = {},
): Promise<GatewayProcess> {
  const defaults = {
    HOST: '127.0.0.1',
    PORT: '0',
    METRICS_HOST: '127.0.0.1',
    METRICS_PORT: '0',
    INTERNAL_PORT: '0',
    ADMIN_PORT: '0',
    JWT_HS256_SECRET: secret,
  }
  const process = startApp({ app: 'gateway', env: { ...defaults, ...env }, ...options })
  const { port, metricsPort, internalPort, adminPort } = gatewayPorts.parse(await process.line('started'))
  const url = `http://127.0.0.1:${port}`
  const ask: GatewayProcess['fetch'] = (path, { userId, method = 'GET', body, headers = {}, signal } = {}) =>
    fetch(url + path, {
      method,
      ...(signal && { signal }),
      headers: {
        ...(userId !== undefined && { authorization: `Bearer ${tokenOf(userId)}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
  const post = async (path: string, userId: string, body: object): Promise<unknown> => {
    const response = await ask(path, { userId, method: 'POST', body })
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    return response.json()
  }
  return {
    process,
    url,
    wsUrl: `ws://127.0.0.1:${port}/ws`,
    metricsUrl: `http://127.0.0.1:${metricsPort}/metrics`,
    internalPort,
    adminUrl: `http://127.0.0.1:${adminPort ?? 0}`,
    async ready(timeoutMs = 20_000) {
      const late = AbortSignal.timeout(timeoutMs)
      for (;;) {
        const response = await fetch(`${url}/ready`, { signal: late })
        const body = await response.text()
        if (response.status === 200) return
        if (late.aborted) throw new Error(`not ready: ${body}`)
      }
    },
    fetch: ask,
    async createTable(userId, config) {
      const body = { name: `Table of ${userId}`, ...(config && { config }) }
      return createdTable.parse(await post('/api/tables', userId, body)).table_id
    },
    async takeSeat(userId, tableId, seatId) {
      await post(`/api/tables/${tableId}/join`, userId, { seatId })
    },
    [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
  }
}
