/** What goes into channels: counted, and with a producer span where it is done for somebody who is traced. */
import type { Metrics } from '@gw/observability/metrics'
import { currentContext } from '@gw/observability/http'
import {
  extractTraceparent,
  formatTraceparent,
  injectTraceparent,
  isKept,
  isTracing,
  recordFailure,
  runIn,
  startSpan,
} from '@gw/observability/tracing'
import type { Broker, PublishOptions, PublishResult } from '@gw/pubsub'
import { type SpanContext, trace } from '@opentelemetry/api'
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
 * made for what nobody asked for, nor for what another instance had published already.
 */
export function createPublishObserver(metrics: Metrics): ObservePublish {
  return async (channel, given, send) => {
    const kind = kindLabel(channel)
    const requestId = given.requestId ?? currentContext()?.requestId
    const traceparent = given.traceparent ?? injectTraceparent()
    const isOwn = given.traceparent === undefined && trace.getActiveSpan() !== undefined
    const parent = isOwn ? undefined : extractTraceparent(traceparent)
    const started = (isOwn || parent) && isTracing() ? startPublish(channel, parent) : undefined
    const own = started ? formatTraceparent(started.span.spanContext()) : traceparent
    const origin: Origin = {
      ...(own !== undefined && { traceparent: own }),
      ...(requestId !== undefined && { requestId }),
    }
    try {
      const result = await (started ? runIn(started.context, () => send(origin)) : send(origin))
      metrics.channelPublishes.inc({ kind, result: result.duplicate ? 'duplicate' : 'ok' })
      // A span that is never ended is never exported.
      if (started && !result.duplicate) {
        if (isKept(started.span))
          started.span.setAttributes({ 'gateway.epoch': result.epoch, 'gateway.seq': result.seq })
        started.span.end()
      }
      return result
    } catch (error) {
      metrics.channelPublishes.inc({ kind, result: 'failed' })
      if (started) {
        recordFailure(started.span, error)
        started.span.end()
      }
      throw error
    }
  }
}

/** In the running trace, or in the caller's. */
function startPublish(channel: string, parent: SpanContext | undefined): ReturnType<typeof startSpan> {
  return startSpan(`publish ${kindLabel(channel)}`, {
    kind: 'producer',
    parent,
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
