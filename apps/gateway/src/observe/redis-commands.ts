/** Duration of every Redis command of this process, whichever client sent it, and a span where somebody is traced. */
import { tracingChannel } from 'node:diagnostics_channel'
import { boundedLabel, type Metrics } from '@gw/observability/metrics'
import { activeSpan, recordFailure, startSpan } from '@gw/observability/tracing'
import { type Context, type Span, TraceFlags } from '@opentelemetry/api'

/** What ioredis tells of a command. Its `args` may hold anything: they are not looked at. */
interface Command {
  readonly command: string
  readonly serverAddress?: string
  readonly serverPort?: number
  readonly error?: unknown
}

interface Running {
  readonly startedAtMs: number
  readonly traced: { readonly span: Span; readonly context: Context } | undefined
}

const commands: ReadonlySet<string> = new Set(
  'eval evalsha get set del exists expire hget hgetall hmget hset incr mget ping publish script smembers spublish ssubscribe subscribe sunsubscribe unsubscribe xadd xrange zadd zrange'.split(
    ' ',
  ),
)

function startCommandSpan({ command, serverAddress, serverPort }: Command): Running['traced'] {
  const active = activeSpan()?.spanContext()
  if (!active || (active.traceFlags & TraceFlags.SAMPLED) === 0) return undefined
  return startSpan(command.toUpperCase(), {
    kind: 'client',
    attributes: {
      'db.system.name': 'redis',
      'db.operation.name': command.toUpperCase(),
      ...(serverAddress !== undefined && { 'server.address': serverAddress }),
      ...(serverPort !== undefined && { 'server.port': serverPort }),
    },
  })
}

/** Listens until the returned function is called. */
export function observeRedisCommands({ redisCommandDuration }: Metrics): () => void {
  const channel = tracingChannel<'ioredis:command', Command>('ioredis:command')
  const running = new WeakMap<object, Running>()
  const subscribers = {
    start(command: Command) {
      running.set(command, { startedAtMs: performance.now(), traced: startCommandSpan(command) })
    },
    end() {},
    asyncStart() {},
    asyncEnd(command: Command) {
      const one = running.get(command)
      if (!one) return
      const { startedAtMs, traced } = one
      const label = { command: boundedLabel(command.command.toLowerCase(), commands) }
      redisCommandDuration.observe(label, (performance.now() - startedAtMs) / 1000)
      if (!traced) return
      if (command.error !== undefined) recordFailure(traced.span, command.error)
      traced.span.end()
    },
    error() {},
  }
  channel.subscribe(subscribers)
  return () => channel.unsubscribe(subscribers)
}
