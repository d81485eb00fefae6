/** The admin API's routes: what they take, which instances they ask, and who is told about it. docs/admin.md is their table. */
import type { Logger } from '@gw/observability/logger'
import { logLevels } from '@gw/observability/logger'
import type { Sessions } from '@gw/connections'
import type { Broker } from '@gw/pubsub'
import { type Request, type RequestHandler, type Response, Router } from 'express'
import { z } from 'zod'
import { GatewayError } from '../errors.ts'
import { type CommandOf, type CommandType, maxPage, type ResultOf } from './command.ts'
import { type Fleet, fleetPrefix } from './fleet.ts'
import type { Tail } from './tail.ts'

export interface AdminRoutesOptions {
  readonly instanceId: string
  readonly fleet: Pick<Fleet, 'ask'>
  readonly sessions: Pick<Sessions, 'getSession'>
  readonly broker: Pick<Broker, 'read'>
  /** Refuses every token of a subject that was issued until now, on all instances. */
  readonly revoke: (subject: string) => Promise<void>
  readonly tail: Tail
  /** One line for each call that changes something; its level never changes. */
  readonly audit: Pick<Logger, 'info'>
}

const name = z.string().min(1).max(256)
const limit = z.coerce.number().int().min(1).max(maxPage).default(50)
const paging = { instance: name.optional(), limit }
const connectionsQuery = z.strictObject({
  ...paging,
  after: z.coerce.number().int().min(0).default(0),
  user: name.optional(),
  channel: name.optional(),
})
const channelsQuery = z.strictObject({
  ...paging,
  after: z.string().max(256).default(''),
  prefix: z.string().max(256).default(''),
})
const tailQuery = z.union([z.strictObject({ channel: name }), z.strictObject({ user: name })])
const levelBody = z.strictObject({ level: z.enum(logLevels), instance: name.optional() })

function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const where = issue?.path.join('.') ?? ''
  throw new GatewayError(
    'invalid_request',
    `${where === '' ? 'Request' : where}: ${issue?.message ?? 'invalid'}`,
  )
}

/** A channel of clients; the fleet's own are nobody's to look into. */
function parseChannel(value: unknown): string {
  const channel = parse(name, value)
  if (channel.startsWith(fleetPrefix) || /\p{Cc}/u.test(channel))
    throw new GatewayError('not_found', 'No such channel')
  return channel
}

/** The store and the broker reject with errors of their own when Redis is away. */
async function reachable<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw error instanceof GatewayError
      ? error
      : new GatewayError('unavailable', 'Redis is away', { cause: error })
  }
}

export function adminRoutes(options: AdminRoutesOptions): Router {
  const { fleet, sessions, broker, instanceId } = options
  const router = Router()

  const get = (path: string, handle: (request: Request, response: Response) => Promise<unknown>): void => {
    router.get(path, (request, response, next) => {
      handle(request, response).then((body) => {
        if (body !== undefined) response.json(body)
      }, next)
    })
  }

  /** Told to the audit log with its outcome, whatever that is. */
  function change(
    path: string,
    action: string,
    handle: (request: Request) => Promise<unknown>,
  ): RequestHandler {
    return (request, response, next) => {
      const note = (outcome: string): void =>
        options.audit.info('admin_action', {
          action,
          target: { ...request.params },
          given: request.body === undefined ? undefined : { ...request.body },
          operator: operatorOf(request),
          address: request.socket.remoteAddress,
          outcome,
        })
      handle(request).then(
        (body) => {
          note('done')
          response.json(body)
        },
        (error: unknown) => {
          note(error instanceof GatewayError ? error.code : 'internal')
          next(error)
        },
      )
    }
  }
  const post = (path: string, action: string, handle: (request: Request) => Promise<unknown>): void =>
    void router.post(path, change(path, action, handle))

  /** One instance's answer. */
  async function one<T extends CommandType>(
    command: CommandOf<T> & { readonly type: T },
    to: string,
  ): Promise<ResultOf<T>> {
    const { results } = await fleet.ask<T>(command, to)
    const result = results[to]
    if (result === undefined) throw new GatewayError('timeout', 'The instance did not answer')
    return result
  }

  get('/instances', async () => {
    const { results, silent, complete } = await fleet.ask({ type: 'report' })
    const instances = Object.values(results).sort((a, b) => a.instanceId.localeCompare(b.instanceId))
    return { instances, silent, complete }
  })
  get('/health', async () => {
    const { health, notReady, state } = await one({ type: 'report' }, instanceId)
    return { instanceId, ready: notReady === undefined, ...(notReady && { notReady }), state, ...health }
  })
  get('/connections', async ({ query }) => {
    const { instance = instanceId, after, limit, user, channel } = parse(connectionsQuery, query)
    const filters = { ...(user && { userId: user }), ...(channel && { channel }) }
    const page = await one({ type: 'connections', after, limit, ...filters }, instance)
    return { instanceId: instance, ...page }
  })
  get('/channels', async ({ query }) => {
    const { instance = instanceId, after, limit, prefix } = parse(channelsQuery, query)
    const page = await one({ type: 'channels', after, limit, prefix }, instance)
    const visible = page.channels.filter(({ channel }) => !channel.startsWith(fleetPrefix))
    return { instanceId: instance, ...page, channels: visible }
  })
  get('/channels/:channel', async ({ params }) => {
    const channel = parseChannel(params['channel'])
    const [asked, log] = await Promise.all([
      fleet.ask({ type: 'subscribers', channel }),
      reachable(broker.read(channel, { limit: 1 })),
    ])
    const { results, silent, complete } = asked
    const last = log.messages.at(-1)
    return {
      channel,
      position: { epoch: log.epoch, seq: log.seq },
      ...(last && { lastMessageAtMs: last.publishedAtMs, lastMessageBytes: last.data.length }),
      subscribers: Object.values(results).reduce((sum, { count }) => sum + count, 0),
      instances: results,
      silent,
      complete,
    }
  })
  get('/users/:userId', async ({ params }) => {
    const userId = parse(name, params['userId'])
    const session = await reachable(sessions.getSession(userId))
    return {
      userId,
      status: session.status,
      count: session.connections.length,
      connections: session.connections.slice(0, maxPage).map((connection) => ({
        connectionId: connection.connectionId,
        instanceId: connection.instanceId,
        connectedAtMs: connection.connectedAtMs,
        clientType: connection.metadata?.['clientType'],
      })),
    }
  })
  get('/tail', async ({ query }, response) => {
    const asked = parse(tailQuery, query)
    if ('user' in asked) await options.tail.user(asked.user, response)
    else await options.tail.channel(parseChannel(asked.channel), response)
  })

  post('/users/:userId/kick', 'kick_user', async ({ params }) => {
    const { results, silent, complete } = await fleet.ask({
      type: 'kick',
      userId: parse(name, params['userId']),
    })
    return { closed: sumClosed(results), silent, complete }
  })
  post('/users/:userId/revoke', 'revoke_user', async ({ params }) => {
    await reachable(options.revoke(parse(name, params['userId'])))
    return { revoked: true }
  })
  post('/connections/:connectionId/kick', 'kick_connection', async ({ params }) => {
    const connectionId = parse(name, params['connectionId'])
    const { results, silent, complete } = await fleet.ask({ type: 'kick', connectionId })
    const closed = sumClosed(results)
    if (closed === 0 && silent.length === 0 && complete)
      throw new GatewayError('not_found', 'No such connection')
    return { closed, silent, complete }
  })
  post('/instances/:instanceId/drain', 'drain', async ({ params }) =>
    one({ type: 'drain', drain: true }, parse(name, params['instanceId'])),
  )
  post('/instances/:instanceId/undrain', 'undrain', async ({ params }) =>
    one({ type: 'drain', drain: false }, parse(name, params['instanceId'])),
  )
  router.put(
    '/log-level',
    change('/log-level', 'log_level', async ({ body }) => {
      const { level, instance } = parse(levelBody, body)
      const { results, silent, complete } = await fleet.ask({ type: 'log_level', level }, instance)
      return { instances: results, silent, complete }
    }),
  )
  return router
}

function sumClosed(results: Readonly<Record<string, ResultOf<'kick'>>>): number {
  return Object.values(results).reduce((sum, { closed }) => sum + closed, 0)
}

/** Who says they are calling: the token is shared, so this is a name for the log, not a proof. */
function operatorOf({ headers }: Request): string | undefined {
  const given = headers['x-operator']
  return typeof given === 'string' && /^[\w.@ -]{1,64}$/.test(given) ? given : undefined
}
