/** Spans without the SDK: everything here needs only @opentelemetry/api and does nothing while no provider runs. */
import {
  type Attributes,
  type Context,
  context,
  INVALID_SPAN_CONTEXT,
  INVALID_TRACEID,
  isSpanContextValid,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  type SpanOptions as TracerSpanOptions,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Tracer,
} from '@opentelemetry/api'
import { activeSpans, currentContext } from './context.ts'
import { isSampled, LateSpan } from './late-span.ts'
import { SpanScope } from './span-scope.ts'

/** As in OpenTelemetry: who called whom. */
export type SpanKindName = 'internal' | 'server' | 'client' | 'producer' | 'consumer'

/** Where a new span stands and what is known of it at its start. */
export interface SpanOptions {
  /** Default `internal`. */
  readonly kind?: SpanKindName
  readonly attributes?: Attributes
  /** Default: the active span. A remote one comes from `extractTraceparent`; `root` starts a new trace. */
  readonly parent?: SpanContext | 'root' | undefined
  /** Causes that are not the parent, as the publish of a message that is delivered here. */
  readonly links?: readonly SpanContext[]
  /** The instrumentation scope. Default `gateway`. */
  readonly tracer?: string
  /** Milliseconds by `performance.now`. Default: now. */
  readonly startTime?: number
}

/** Knows of a span that is to come whether it will be kept. */
export interface ForeseeingTracer extends Tracer {
  /** Whether it would be below `above`, if all goes well. */
  readonly keepsBelow: (above: SpanContext) => boolean
}

function isForeseeing(tracer: Tracer): tracer is ForeseeingTracer {
  return 'keepsBelow' in tracer
}

/** Of a span of which no more is known at its start. Shared: nobody changes them. */
const kinds: Readonly<Record<SpanKindName, Readonly<TracerSpanOptions>>> = {
  internal: { kind: SpanKind.INTERNAL },
  server: { kind: SpanKind.SERVER },
  client: { kind: SpanKind.CLIENT },
  producer: { kind: SpanKind.PRODUCER },
  consumer: { kind: SpanKind.CONSUMER },
}
const defaultTracer = 'gateway'
const noSpan: Span = trace.wrapSpanContext(INVALID_SPAN_CONTEXT)

/** True while a tracing SDK is registered. */
export function isTracing(): boolean {
  return tracerOf(defaultTracer) !== undefined
}

function tracerOf(name: string): Tracer | undefined {
  const provider = trace.getTracerProvider()
  return provider instanceof ProxyTracerProvider ? provider.getDelegateTracer(name) : provider.getTracer(name)
}

/** An open span and the context in which it is active. End it exactly once. Without an SDK: a span that does nothing. */
export function startSpan(name: string, options: SpanOptions = {}): { span: Span; context: Context } {
  const active = activeSpans()
  const tracer = tracerOf(options.tracer ?? defaultTracer)
  if (!tracer) return { span: noSpan, context: active }
  const outer = outerOf(active, options.parent)
  const span = tracer.startSpan(name, beginning(options), outer)
  // Below a span that isn't sampled: it is as good in the context as its child, which shows its ids.
  const isNamed = outer === ROOT_CONTEXT || span.spanContext() !== trace.getSpanContext(outer)
  return { span, context: isNamed ? new SpanScope(outer, span) : outer }
}

function beginning({ kind = 'internal', attributes, links, startTime }: SpanOptions): TracerSpanOptions {
  const known = kinds[kind]
  if (attributes === undefined && links === undefined && startTime === undefined) return known
  const own: TracerSpanOptions = { ...known }
  if (attributes) own.attributes = attributes
  if (links) own.links = links.map((link) => ({ context: link }))
  if (startTime !== undefined) own.startTime = startTime
  return own
}

/** A context is a copy of the one it is made from: none is made for what is so already. */
function outerOf(active: Context, parent: SpanOptions['parent']): Context {
  if (parent === undefined) return active
  if (parent !== 'root') return trace.setSpanContext(active, parent)
  return active !== ROOT_CONTEXT && trace.getSpan(active) ? trace.deleteSpan(active) : active
}

/** Runs `fn` where `inside`, the context of a started span, is the active one. */
export function runIn<T>(inside: Context, fn: () => T): T {
  return inside === activeSpans() ? fn() : context.with(inside, fn)
}

/** The span that the running code is in. */
export function activeSpan(): Span | undefined {
  const active = activeSpans()
  return active === ROOT_CONTEXT ? undefined : trace.getSpan(active)
}

/**
 * Runs `fn` inside a new span and ends it when `fn` returns or its promise settles. A throw or rejection is recorded,
 * marks the span as failed and goes on to the caller.
 */
export function withSpan<T>(name: string, options: SpanOptions, fn: (span: Span) => T): T {
  const started = startSpan(name, options)
  if (started.span === noSpan) return fn(noSpan)
  const { span } = started
  try {
    const result = runIn(started.context, () => fn(span))
    if (!isPromiseLike(result)) {
      span.end()
      return result
    }
    result.then(
      () => span.end(),
      (error: unknown) => endFailed(span, error),
    )
    return result
  } catch (error) {
    endFailed(span, error)
    throw error
  }
}

/**
 * Whether `span` will be written as far as is known: it is sampled, or it failed. Who sets attributes at a span's end asks
 * first: of the many that nobody sees none need be made.
 */
export function isKept(span: Span): boolean {
  return span instanceof LateSpan ? span.isKept : isSampled(span.spanContext())
}

/**
 * Whether a span below `parent` would be written, if all goes well; true where nobody can say (`keepErrors: false`, another
 * SDK). Of what is done all the time no span need be begun where it would not: if it fails it gets one with `startTime`.
 */
export function keepsBelow(parent: SpanContext): boolean {
  const tracer = tracerOf(defaultTracer)
  if (tracer === undefined) return false
  return isForeseeing(tracer) ? tracer.keepsBelow(parent) : true
}

/** Marks a span as failed by `error`, without ending it. */
export function recordFailure(span: Span, error: unknown): void {
  const failure = error instanceof Error ? error : new Error(String(error))
  span.recordException(failure)
  span.setStatus({ code: SpanStatusCode.ERROR, message: failure.message })
}

function endFailed(span: Span, error: unknown): void {
  recordFailure(span, error)
  span.end()
}

function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

const traceparent = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const maxTraceparentLength = 256

/** Whether a span of this process, or one read by `extractTraceparent`, is more than `noSpan`: all others have good ids. */
export function isReal({ traceId }: SpanContext): boolean {
  return traceId !== INVALID_TRACEID
}

/** The active span as a W3C `traceparent`. Without one: the one that came in with the request, if any. */
export function injectTraceparent(): string | undefined {
  const span = activeSpan()?.spanContext()
  if (!span || !isReal(span)) return currentContext()?.traceparent
  return formatTraceparent(span)
}

/** `00-<trace id>-<span id>-<flags>`. */
export function formatTraceparent(span: SpanContext): string {
  const { traceId, spanId, traceFlags } = span
  return `00-${traceId}-${spanId}-${flagsText(traceFlags)}`
}

function flagsText(flags: number): string {
  return flags === 0 ? '00' : (flags & 0xff).toString(16).padStart(2, '0')
}

/**
 * A remote span context from a `traceparent` of any kind of source (header, metadata, envelope); undefined when it
 * is absent or not valid by W3C Trace Context level 1, section 3.2 (unknown later versions are read as version 00).
 */
export function extractTraceparent(value: unknown): SpanContext | undefined {
  if (typeof value !== 'string' || value.length > maxTraceparentLength) return undefined
  const [, version, traceId, spanId, flags, rest] = traceparent.exec(value.trim()) ?? []
  if (version === undefined || traceId === undefined || spanId === undefined || flags === undefined)
    return undefined
  if (version === 'ff' || (version === '00' && rest !== undefined)) return undefined
  const traceFlags = Number.parseInt(flags, 16) & TraceFlags.SAMPLED
  const parsed: SpanContext = { traceId, spanId, traceFlags, isRemote: true }
  return isSpanContextValid(parsed) ? parsed : undefined
}
