/** Leaves to the SDK the spans that are sampled or failed; see `LateSpan`. */
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
import { LateSpan, type SpanBeginning, type WriteSpan } from './late-span.ts'
import { keptBelow, type SpanIds } from './span-ids.ts'
import { isSampled } from './spans.ts'

/** Options of `lateTracerProvider`. */
export interface LateTracerProviderOptions {
  /** Writes every span it is asked for, with ids from `ids`. */
  readonly writer: TracerProvider
  readonly ids: SpanIds
  /** Share of the traces that begin here and are kept. */
  readonly sampleRatio: number
  /** Decides on a trace that began elsewhere, where its caller's decision is not followed. */
  readonly keepsForeign: ((traceId: string) => boolean) | undefined
}

/** A provider that leaves sampled and failed spans to `writer`, and keeps the others to itself. */
export function lateTracerProvider(options: LateTracerProviderOptions): TracerProvider {
  /** By scope: the code's own few names. */
  const tracers = new Map<string, Tracer>()
  return {
    getTracer(name) {
      let tracer = tracers.get(name)
      if (!tracer) tracers.set(name, (tracer = lateTracer(options.writer.getTracer(name), options)))
      return tracer
    },
  }
}

function lateTracer(
  writer: Tracer,
  { ids, sampleRatio, keepsForeign }: Omit<LateTracerProviderOptions, 'writer'>,
): Tracer {
  const drawBelow = keptBelow(sampleRatio)
  const write: WriteSpan = ({ ids: own, name, options, parent }) =>
    ids.as(own, () => writer.startSpan(name, options, parent))
  /** Nobody was told of it: new ids will do. */
  const writeChild: WriteSpan = ({ name, options, parent }) => writer.startSpan(name, options, parent)

  function identify(above: SpanContext | undefined): SpanContext {
    if (above === undefined) {
      const { traceId, isKept } = ids.newTrace(drawBelow)
      return idsOf(traceId, isKept)
    }
    const own = idsOf(above.traceId, keepsForeign ? keepsForeign(above.traceId) : isSampled(above))
    return above.traceState ? { ...own, traceState: above.traceState } : own
  }

  function idsOf(traceId: string, isKept: boolean): SpanContext {
    const traceFlags = isKept ? TraceFlags.SAMPLED : TraceFlags.NONE
    return { traceId, spanId: ids.generateSpanId(), traceFlags }
  }

  function startSpan(name: string, options: SpanOptions = {}, parent: Context = context.active()): Span {
    // As every request begins: nothing is above it, and nothing there to ask.
    if (parent === ROOT_CONTEXT) return begin({ ids: identify(undefined), name, options, parent })
    if (isTracingSuppressed(parent)) return writer.startSpan(name, options, parent)
    const above = options.root ? undefined : trace.getSpan(parent)
    // All below a span that isn't sampled goes by its ids, which costs neither ids nor a context of its own.
    if (above instanceof LateSpan)
      return new LateSpan({ ids: above.spanContext(), name, options, parent }, writeChild)
    const caller = above?.spanContext()
    const own = identify(caller && isSpanContextValid(caller) ? caller : undefined)
    return begin({ ids: own, name, options, parent })
  }

  function begin(begun: SpanBeginning): Span {
    return isSampled(begun.ids) ? write(begun) : new LateSpan(begun, write)
  }

  // `startActiveSpan` stays the SDK's: it calls this `startSpan`.
  const tracer: Tracer = Object.create(writer, { startSpan: { value: startSpan } })
  return tracer
}
