/** Has the SDK write the spans that are kept or failed, behind the work that they are of; see `LateSpan`. */
import {
  type Context,
  context,
  isSpanContextValid,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  type SpanOptions,
  trace,
  TraceFlags,
  type Tracer,
  type TracerProvider,
} from '@opentelemetry/api'
import { isTracingSuppressed } from '@opentelemetry/core'
import { type EndedSpan, isSampled, type KeepSpan, LateSpan, type TimeOf } from './late-span.ts'
import type { LateWrites } from './late-writes.ts'
import { keptBelow, type SpanIds } from './span-ids.ts'
import type { ForeseeingTracer } from './spans.ts'
import { createWallClock } from './wall-clock.ts'

/** Options of `lateTracerProvider`. */
export interface LateTracerProviderOptions {
  /** Writes every span it is asked for, with ids from `ids`. */
  readonly writer: TracerProvider
  readonly ids: SpanIds
  /** Does it when there is time. */
  readonly writes: LateWrites
  /** Share of the traces that begin here and are kept. */
  readonly sampleRatio: number
  /** Decides on a trace that began elsewhere, where its caller's decision is not followed. */
  readonly keepsForeign: ((traceId: string) => boolean) | undefined
}

/** A provider that leaves kept and failed spans to `writer`, when they have ended, and forgets the others. */
export function lateTracerProvider(options: LateTracerProviderOptions): TracerProvider {
  const shared = { ...options, epochOffset: createWallClock(), newRoot: rootIds(options) }
  /** By scope: the code's own few names. */
  const tracers = new Map<string, Tracer>()
  return {
    getTracer(name) {
      let tracer = tracers.get(name)
      if (!tracer) tracers.set(name, (tracer = lateTracer(options.writer.getTracer(name), shared)))
      return tracer
    },
  }
}

/** Made so many at a time: each for itself would take several times as long. */
const rootsAtOnce = 256

/** Ids for spans that begin a trace. */
function rootIds({
  ids,
  sampleRatio,
}: Pick<LateTracerProviderOptions, 'ids' | 'sampleRatio'>): () => SpanContext {
  const drawBelow = keptBelow(sampleRatio)
  const ready: SpanContext[] = []

  function make(): SpanContext {
    const { traceId, isKept } = ids.newTrace(drawBelow)
    return idsOf({ traceId, spanId: ids.generateSpanId(), isKept })
  }

  return () => {
    if (ready.length === 0) for (let i = 0; i < rootsAtOnce; i++) ready.push(make())
    return ready.pop() ?? make()
  }
}

interface Ids extends Pick<SpanContext, 'traceId' | 'spanId'> {
  readonly isKept: boolean
}

function idsOf({ traceId, spanId, isKept }: Ids): SpanContext {
  return { traceId, spanId, traceFlags: isKept ? TraceFlags.SAMPLED : TraceFlags.NONE }
}

interface LateTracerOptions extends Omit<LateTracerProviderOptions, 'writer' | 'sampleRatio'> {
  readonly newRoot: () => SpanContext
  /** What to add to a time by `performance.now`. */
  readonly epochOffset: () => number
}

function lateTracer(writer: Tracer, options: LateTracerOptions): ForeseeingTracer {
  const { ids, writes, keepsForeign, epochOffset, newRoot } = options

  function write(ended: EndedSpan, begin: (start: () => Span) => Span): void {
    const { name, options, parent, startTime, endTime, fill } = ended
    // One for all of its times: the system's clock may be set between two looks at it.
    const offset = epochOffset()
    const timeOf: TimeOf = (time) =>
      typeof time === 'number' && time <= performance.now() ? time + offset : time
    const span = begin(() => writer.startSpan(name, { ...options, startTime: timeOf(startTime) }, parent))
    fill(span, timeOf)
    span.end(timeOf(endTime))
  }

  const keep: KeepSpan = (ended) => writes.add(() => write(ended, (start) => ids.as(ended.ids, start)))
  /** Nobody was told of it: new ids will do. */
  const keepChild: KeepSpan = (ended) => writes.add(() => write(ended, (start) => start()))

  function identify(above: SpanContext | undefined): SpanContext {
    if (above === undefined) return newRoot()
    const { traceId } = above
    const own = idsOf({ traceId, spanId: ids.generateSpanId(), isKept: keepsBelow(above) })
    return above.traceState ? { ...own, traceState: above.traceState } : own
  }

  function keepsBelow(above: SpanContext): boolean {
    return keepsForeign ? keepsForeign(above.traceId) : isSampled(above)
  }

  function startSpan(name: string, given: SpanOptions = {}, parent: Context = context.active()): Span {
    // As every request begins: nothing is above it, and nothing there to ask.
    if (parent === ROOT_CONTEXT) return new LateSpan({ ids: newRoot(), name, options: given, parent }, keep)
    if (isTracingSuppressed(parent)) return writer.startSpan(name, given, parent)
    const above = given.root ? undefined : trace.getSpan(parent)
    // All below a span that isn't sampled goes by its ids, which costs neither ids nor a context of its own.
    if (above instanceof LateSpan && !isSampled(above.spanContext()))
      return new LateSpan({ ids: above.spanContext(), name, options: given, parent }, keepChild)
    const caller = above?.spanContext()
    const own = identify(caller && isSpanContextValid(caller) ? caller : undefined)
    return new LateSpan({ ids: own, name, options: given, parent }, keep)
  }

  // `startActiveSpan` stays the SDK's: it calls this `startSpan`.
  const tracer: ForeseeingTracer = Object.create(writer, {
    startSpan: { value: startSpan },
    keepsBelow: { value: keepsBelow },
  })
  return tracer
}
