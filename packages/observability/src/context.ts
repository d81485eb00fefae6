import { AsyncLocalStorage } from 'node:async_hooks'
import { type Context, context, ROOT_CONTEXT } from '@opentelemetry/api'

/**
 * Who and what the running code works for. It is put on every log line written inside, and may be filled in on the
 * way: authentication sets `userId` with `setContext`. Add only what identifies; never tokens or message text.
 */
export interface RequestContext {
  requestId?: string
  userId?: string
  connectionId?: string
  /** The `traceparent` that came in, passed on unchanged when no tracing SDK runs. */
  traceparent?: string
}

/** What goes along with the running code. One thing, not two: each that Node carries along costs every await. */
interface Scope {
  readonly request: RequestContext | undefined
  /** OpenTelemetry's. */
  readonly spans: Context
}

// The module-level state of this package: asynchronous context has to be reachable from code that nobody passes anything to,
// as in every AsyncLocalStorage. It holds nothing outside of the functions below.
const storage = new AsyncLocalStorage<Scope>()
/** Whether OpenTelemetry's API, too, keeps its context there. */
let isManager = false

/** Runs `fn`, and all it awaits, inside `context`. Outside HTTP: one call per connection or message. */
export function runWithContext<T>(context: RequestContext, fn: () => T): T {
  return runInScope(context, currentSpans(), fn)
}

/** The context of the running request, connection or message; undefined outside of one. */
export function currentContext(): RequestContext | undefined {
  return storage.getStore()?.request
}

/** Adds to the running context, for all that follows in it. Does nothing outside of one. */
export function setContext(fields: RequestContext): void {
  const context = storage.getStore()?.request
  if (context) Object.assign(context, fields)
}

/** For `SpanContextManager` and `requestContext`. */
export function runInScope<T>(request: RequestContext | undefined, spans: Context, fn: () => T): T {
  return storage.run({ request, spans }, fn)
}

/** OpenTelemetry's context of the running code, whether or not an SDK is registered. */
export function currentSpans(): Context {
  return storage.getStore()?.spans ?? ROOT_CONTEXT
}

/** For `SpanContextManager`, which is enabled or disabled. */
export function setManager(is: boolean): void {
  isManager = is
}

/** The same, wherever the API keeps it: from there it takes a search for who keeps it, each time. */
export function activeSpans(): Context {
  return isManager ? currentSpans() : context.active()
}
