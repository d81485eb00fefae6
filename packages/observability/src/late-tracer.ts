/** Leaves to the SDK the spans that are sampled or failed; see `LateSpan`. */
import {
  type Context,
  context,
  isSpanContextValid,
  type Span,
  type SpanContext,
  type SpanOptions,
  trace,
  TraceFlags,
  type Tracer,
  type TracerProvider,
} from '@opentelemetry/api'
import { isTracingSuppressed } from '@opentelemetry/core'
import type { IdGenerator } from '@opentelemetry/sdk-trace'
import { LateSpan, type WriteSpan } from './late-span.ts'

const hex = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

function randomHex8(): string {
  const bits = Math.random() * 2 ** 32
  return `${hex[bits >>> 24]}${hex[(bits >>> 16) & 255]}${hex[(bits >>> 8) & 255]}${hex[bits & 255]}`
}

function randomSpanId(): string {
  const id = randomHex8() + randomHex8()
  return id === '0000000000000000' ? randomSpanId() : id
}

/** Random ids, but for a span that has got its own already. */
export class PresetIds implements IdGenerator {
  #preset: SpanContext | undefined

  /** The one span that begins in `start` gets `ids`. */
  as(ids: SpanContext, start: () => Span): Span {
    this.#preset = ids
    try {
      return start()
    } finally {
      this.#preset = undefined
    }
  }

  generateTraceId(): string {
    return this.#preset?.traceId ?? randomSpanId() + randomSpanId()
  }

  generateSpanId(): string {
    return this.#preset?.spanId ?? randomSpanId()
  }
}

/** Options of `lateTracerProvider`. */
export interface LateTracerProviderOptions {
  /** Writes every span it is asked for, with ids from `ids`. */
  readonly writer: TracerProvider
  readonly ids: PresetIds
  readonly isSampled: (traceId: string) => boolean
  /** Whether a parent's decision is followed instead. */
  readonly followParent: boolean
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
  { ids, isSampled, followParent }: Omit<LateTracerProviderOptions, 'writer'>,
): Tracer {
  const write: WriteSpan = ({ ids: own, name, options, parent }) =>
    ids.as(own, () => writer.startSpan(name, options, parent))
  /** Nobody was told of it: new ids will do. */
  const writeChild: WriteSpan = ({ name, options, parent }) => writer.startSpan(name, options, parent)

  function identify(above: SpanContext | undefined): SpanContext {
    const traceId = above?.traceId ?? ids.generateTraceId()
    const sampled = above && followParent ? isMarked(above) : isSampled(traceId)
    const own = {
      traceId,
      spanId: ids.generateSpanId(),
      traceFlags: sampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
    }
    return above?.traceState ? { ...own, traceState: above.traceState } : own
  }

  function startSpan(name: string, options: SpanOptions = {}, parent: Context = context.active()): Span {
    if (isTracingSuppressed(parent)) return writer.startSpan(name, options, parent)
    const above = options.root ? undefined : trace.getSpan(parent)
    // All below a span that isn't sampled goes by its ids, which costs neither ids nor a context of its own.
    if (above instanceof LateSpan)
      return new LateSpan({ ids: above.spanContext(), name, options, parent }, writeChild)
    const caller = above?.spanContext()
    const own = identify(caller && isSpanContextValid(caller) ? caller : undefined)
    const begun = { ids: own, name, options, parent }
    return isMarked(own) ? write(begun) : new LateSpan(begun, write)
  }

  // `startActiveSpan` stays the SDK's: it calls this `startSpan`.
  const tracer: Tracer = Object.create(writer, { startSpan: { value: startSpan } })
  return tracer
}

function isMarked({ traceFlags }: SpanContext): boolean {
  return (traceFlags & TraceFlags.SAMPLED) !== 0
}
