/** What goes into channels: counted, and with a producer span where it is done for somebody who is traced. */
import type { Metrics } from '@gw/observability/metrics'
import { currentContext } from '@gw/observability/http'
import {
  activeSpan,
  extractTraceparent,
  formatTraceparent,
  injectTraceparent,
  isTracing,
  keepsBelow,
  recordFailure,
  runIn,
  type SpanOptions,
  startSpan,
} from '@gw/observability/tracing'
import type { Broker, PublishOptions, PublishResult } from '@gw/pubsub'
import { type SpanContext, TraceFlags } from '@opentelemetry/api'
import { kindLabel } from './labels.ts'

/** Who a message is published for. */
export type Origin = Pick<PublishOptions, 'traceparent' | 'requestId'>

/** Runs `send` with the origin that the message's envelope gets. */
export type ObservePublish = <R extends PublishResult>(
  channel: string,
  given: Origin,
  send: (origin: Origin) => Promise<R>,
) => Promise<R>

/**
 * The origin is the caller's if it gives one (a backend that published elsewhere), else the running request. No span is
 * made for what nobody asked for, nor for what another instance had published already; in a trace that isn't kept, only for
 * what failed.
 */
export function createPublishObserver(metrics: Metrics): ObservePublish {
  return async (channel, given, send) => {
    const kind = kindLabel(channel)
    const requestId = given.requestId ?? currentContext()?.requestId
    const traceparent = given.traceparent ?? injectTraceparent()
    const own = given.traceparent === undefined ? activeSpan() : undefined
    const parent = own ? undefined : extractTraceparent(traceparent)
    const above = own?.spanContext() ?? parent
    const started = above && keepsBelow(above) ? startPublish({ channel, parent }) : undefined
    const startedAt = performance.now()
    const passedOn = started ? formatTraceparent(started.span.spanContext()) : notKept(traceparent, parent)
    const origin: Origin = {
      ...(passedOn !== undefined && { traceparent: passedOn }),
      ...(requestId !== undefined && { requestId }),
    }
    try {
      const result = await (started ? runIn(started.context, () => send(origin)) : send(origin))
      metrics.channelPublishes.inc({ kind, result: result.duplicate ? 'duplicate' : 'ok' })
      // A span that is never ended is never exported.
      if (started && !result.duplicate)
        started.span.setAttributes({ 'gateway.epoch': result.epoch, 'gateway.seq': result.seq }).end()
      return result
    } catch (error) {
      metrics.channelPublishes.inc({ kind, result: 'failed' })
      if (above && isTracing()) {
        const { span } = started ?? startPublish({ channel, parent, startTime: startedAt })
        recordFailure(span, error)
        span.end()
      }
      throw error
    }
  }
}

/** Where no span is made: a caller's trace that is kept, but not here, is passed on as one that is not. */
function notKept(traceparent: string | undefined, parent: SpanContext | undefined): string | undefined {
  const isKeptElsewhere = parent !== undefined && (parent.traceFlags & TraceFlags.SAMPLED) !== 0
  return isKeptElsewhere && isTracing()
    ? formatTraceparent({ ...parent, traceFlags: TraceFlags.NONE })
    : traceparent
}

interface Publish extends Pick<SpanOptions, 'parent' | 'startTime'> {
  readonly channel: string
}

/** In the running trace, or in the caller's. */
function startPublish({ channel, ...options }: Publish): ReturnType<typeof startSpan> {
  return startSpan(`publish ${kindLabel(channel)}`, {
    ...options,
    kind: 'producer',
    attributes: {
      'messaging.system': 'gateway',
      'messaging.operation.type': 'send',
      'messaging.destination.name': channel,
    },
  })
}

/** `broker` with an observed `publish`. */
export function observeBroker(broker: Broker, observe: ObservePublish): Broker {
  return {
    publish: (channel, data, options = {}) =>
      observe(channel, options, (origin) => broker.publish(channel, data, { ...options, ...origin })),
    subscribe: (channel, subscriber, options) => broker.subscribe(channel, subscriber, options),
    read: (channel, options) => broker.read(channel, options),
    health: () => broker.health(),
    stats: () => broker.stats(),
    close: () => broker.close(),
  }
}
