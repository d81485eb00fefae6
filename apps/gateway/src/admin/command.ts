/** What one instance may ask of the others, and what they answer: the fleet's own wire, parsed on both sides. */
import { closeCodes } from '@gw/protocol'
import { logLevels } from '@gw/observability/logger'
import { z } from 'zod'

/** Entries of one page, at most: answers of other instances travel through Redis. */
export const maxPage = 100

const id = z.string().min(1).max(256)
const limit = z.int().min(1).max(maxPage)

/** How a kicked socket is closed: its client may come back with a fresh token. */
export const kickClose = closeCodes.policy

const commands = {
  report: z.object({ type: z.literal('report') }),
  connections: z.object({
    type: z.literal('connections'),
    /** Serial of the last one that is known already. */
    after: z.int().min(0),
    limit,
    userId: id.optional(),
    channel: id.optional(),
  }),
  channels: z.object({
    type: z.literal('channels'),
    /** Name of the last one that is known already. */
    after: z.string().max(256),
    limit,
    prefix: z.string().max(256),
  }),
  subscribers: z.object({ type: z.literal('subscribers'), channel: id }),
  kick: z.object({ type: z.literal('kick'), userId: id.optional(), connectionId: id.optional() }),
  drain: z.object({ type: z.literal('drain'), drain: z.boolean() }),
  log_level: z.object({ type: z.literal('log_level'), level: z.enum(logLevels) }),
  /** Sends what a user's sockets do to the channel of a tail, for a while. */
  watch_user: z.object({
    type: z.literal('watch_user'),
    userId: id,
    tailId: z.uuid(),
    forMs: z.int().max(60_000),
  }),
}

const breaker = z.enum(['closed', 'half_open', 'open'])

const health = z.object({
  redis: z.object({ configured: z.boolean(), up: z.boolean(), pingMs: z.number().optional() }),
  pubsub: z.object({ ok: z.boolean(), probeAgeMs: z.number().optional(), reason: z.string().optional() }),
  keys: z.object({ ready: z.boolean(), revocationsAgeMs: z.number().optional() }),
  backends: z.record(z.string(), breaker),
  sessionEvents: z.object({ queued: z.number() }),
  logLinesDropped: z.number(),
})

const report = z.object({
  instanceId: z.string(),
  version: z.string(),
  pid: z.number(),
  startedAtMs: z.number(),
  /** The instance's own clock. */
  nowMs: z.number(),
  state: z.enum(['serving', 'drained', 'stopping']),
  /** Why `/ready` says 503; absent when it is 200. */
  notReady: z.string().optional(),
  logLevel: z.enum(logLevels),
  sockets: z.number(),
  users: z.number(),
  channels: z.number(),
  subscriptions: z.number(),
  memoryBytes: z.number(),
  eventLoopLagMs: z.number(),
  /** Since the start: two reports give rates. */
  totals: z.record(z.string(), z.number()),
  health,
})

const connection = z.object({
  connectionId: z.string(),
  userId: z.string(),
  address: z.string(),
  clientType: z.string(),
  features: z.array(z.string()),
  openedAtMs: z.number(),
  tokenExpiresAtMs: z.number(),
  rttMs: z.number().optional(),
  bufferedBytes: z.number(),
  channels: z.number(),
})

const results = {
  report,
  connections: z.object({ connections: z.array(connection), next: z.number().optional() }),
  channels: z.object({
    channels: z.array(z.object({ channel: z.string(), subscribers: z.number() })),
    next: z.string().optional(),
  }),
  subscribers: z.object({
    count: z.number(),
    /** The first of them. */
    subscribers: z.array(z.object({ connectionId: z.string(), userId: z.string() })),
  }),
  kick: z.object({ closed: z.number() }),
  drain: z.object({ state: z.enum(['serving', 'drained', 'stopping']), sockets: z.number() }),
  log_level: z.object({ level: z.enum(logLevels) }),
  watch_user: z.object({ sockets: z.number() }),
}

export type CommandType = keyof typeof commands
export type CommandOf<T extends CommandType> = z.output<(typeof commands)[T]>
export type Command = { readonly [T in CommandType]: CommandOf<T> }[CommandType]
export type ResultOf<T extends CommandType> = z.output<(typeof results)[T]>
export type InstanceReport = ResultOf<'report'>
export type HealthDetail = InstanceReport['health']
export type ConnectionInfo = z.output<typeof connection>

const anyCommand = z.discriminatedUnion('type', [
  commands.report,
  commands.connections,
  commands.channels,
  commands.subscribers,
  commands.kick,
  commands.drain,
  commands.log_level,
  commands.watch_user,
])

const ask = z.object({
  askId: z.uuid(),
  from: id,
  /** One instance; absent: all. */
  to: id.optional(),
  command: anyCommand,
})

const answer = z.object({ askId: z.uuid(), instanceId: id, result: z.unknown() })

export type Ask = z.output<typeof ask>
export type Answer = z.output<typeof answer>

function parseJson(data: Buffer): unknown {
  try {
    return JSON.parse(data.toString())
  } catch {
    return undefined
  }
}

/** Undefined for anything that this version does not understand: the asker then counts this instance as silent. */
export function parseAsk(data: Buffer): Ask | undefined {
  return ask.safeParse(parseJson(data)).data
}

export function parseAnswer(data: Buffer): Answer | undefined {
  return answer.safeParse(parseJson(data)).data
}

/** The result that belongs to a command; undefined when the other instance's version answers differently. */
export function parseResult<T extends CommandType>(type: T, value: unknown): ResultOf<T> | undefined {
  return results[type].safeParse(value).data as ResultOf<T> | undefined
}
