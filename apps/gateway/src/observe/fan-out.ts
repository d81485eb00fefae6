/**
 * What became of the frames that went out to clients. A fan-out to thousands is counted at once and
 * recorded once, when its last frame is with its socket:
 *
 *   message off the log ── first receiver ▶ begin ── … ── last receiver ── writes of the turn ▶ record, end of the span
 */
import { afterWrites, type Frame, type SendResult, sendResults } from '@gw/connections'
import type { Metrics } from '@gw/observability/metrics'
import { extractTraceparent, startSpan } from '@gw/observability/tracing'
import { serverSchemas } from '@gw/protocol/schemas'
import type { ChannelMessage } from '@gw/pubsub'
import { type Span, TraceFlags } from '@opentelemetry/api'
import { kindLabel } from './labels.ts'
import { remembered } from './remembered.ts'

/** Called for every frame, for so many sockets at once. */
export interface FanOutObserver {
  /** A channel's message went out. */
  readonly onSent: (message: ChannelMessage, result: SendResult, count: number) => void
  /** Any other frame. */
  readonly onSentFrame: (frame: Frame, result: SendResult, count?: number) => void
  /** What is sent between true and false was missed by one socket, or waited for it: not a fan-out. */
  readonly onReplay: (isReplay: boolean) => void
}

type Counts = Record<SendResult, number>

interface Current {
  readonly message: ChannelMessage
  readonly isReplay: boolean
  readonly counts: Counts
  readonly startedAtMs: number
  readonly delivery: { readonly span: Span } | undefined
}

const types: ReadonlySet<string> = new Set(Object.keys(serverSchemas))
const noCounts = (): Counts => ({ sent: 0, queued: 0, conflated: 0, dropped: 0, closed: 0 })

/** The `type` of a message, read off its first bytes: publishers put it first, and nothing is parsed for a label. */
function typeOf(bytes: Buffer): string {
  const type = /"type":"(\w{1,40})"/.exec(bytes.toString('latin1', 0, 80))?.[1] ?? ''
  return types.has(type) ? type : 'other'
}

/** A span in the publisher's trace, linked to the publish. Undefined where nobody keeps that trace. */
function startDelivery({ channel, epoch, seq, traceparent }: ChannelMessage): Current['delivery'] {
  const publish = traceparent === undefined ? undefined : extractTraceparent(traceparent)
  if (!publish || (publish.traceFlags & TraceFlags.SAMPLED) === 0) return undefined
  return startSpan(`deliver ${kindLabel(channel)}`, {
    kind: 'consumer',
    parent: publish,
    links: [publish],
    attributes: {
      'messaging.system': 'gateway',
      'messaging.operation.type': 'process',
      'messaging.destination.name': channel,
      'gateway.epoch': epoch,
      'gateway.seq': seq,
    },
  })
}

/** Records into `metrics`; a message whose publisher is traced gets a span on each instance, linked to the publish. */
export function createFanOutObserver(metrics: Metrics): FanOutObserver {
  let current: Current | undefined
  let frames = new Map<Frame, Counts>()
  let isReplay = false
  let scheduled = false
  const written: Current[] = []
  const sent = remembered((type: string) =>
    remembered((result: SendResult) => metrics.wsMessagesSent.of({ type, result })),
  )
  const fanOut = remembered((kind: string) => ({
    connections: metrics.fanoutConnections.of({ kind }),
    duration: metrics.fanoutDuration.of({ kind }),
    latency: metrics.publishToDeliver.of({ kind }),
  }))

  function schedule(): void {
    if (scheduled) return
    scheduled = true
    // Behind the synchronous delivery to all receivers; then behind their writes.
    queueMicrotask(() => {
      scheduled = false
      close()
      recordFrames()
      afterWrites(recordWritten)
    })
  }

  function begin(message: ChannelMessage): Current {
    close()
    schedule()
    const delivery = isReplay ? undefined : startDelivery(message)
    current = { message, isReplay, counts: noCounts(), startedAtMs: performance.now(), delivery }
    return current
  }

  function close(): void {
    if (current) written.push(current)
    current = undefined
  }

  function countSent(type: string, counts: Counts): void {
    for (const result of sendResults) if (counts[result] > 0) sent(type)(result).inc(counts[result])
  }

  function recordFrames(): void {
    if (frames.size === 0) return
    for (const [frame, counts] of frames) countSent(typeOf(frame), counts)
    frames = new Map()
  }

  function recordWritten(): void {
    const endedAtMs = performance.now()
    for (const one of written.splice(0)) {
      const { message, counts, startedAtMs, delivery } = one
      countSent(typeOf(message.data), counts)
      if (one.isReplay) continue
      const receivers = sendResults.reduce((sum, result) => sum + counts[result], 0)
      const series = fanOut(kindLabel(message.channel))
      series.connections.observe(receivers)
      series.duration.observe((endedAtMs - startedAtMs) / 1000)
      const latency = Math.max(0, performance.timeOrigin + startedAtMs - message.publishedAtMs) / 1000
      series.latency.observeFor(delivery?.span.spanContext(), latency)
      delivery?.span.setAttribute('gateway.receivers', receivers)
      delivery?.span.end()
    }
  }

  return {
    onSent(message, result, count) {
      const one = current?.message === message && current.isReplay === isReplay ? current : begin(message)
      one.counts[result] += count
    },
    onSentFrame(frame, result, count = 1) {
      const counts = frames.get(frame) ?? noCounts()
      counts[result] += count
      frames.set(frame, counts)
      schedule()
    },
    onReplay(now) {
      isReplay = now
    },
  }
}
