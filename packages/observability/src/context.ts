import { AsyncLocalStorage } from 'node:async_hooks'

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

// The one module-level state of this package: asynchronous context has to be reachable from code that nobody passes
// anything to, as in every AsyncLocalStorage. It holds nothing outside of runWithContext.
const storage = new AsyncLocalStorage<RequestContext>()

/** Runs `fn`, and all it awaits, inside `context`. Outside HTTP: one call per connection or message. */
export function runWithContext<T>(context: RequestContext, fn: () => T): T {
  return storage.run(context, fn)
}

/** The context of the running request, connection or message; undefined outside of one. */
export function currentContext(): RequestContext | undefined {
  return storage.getStore()
}

/** Adds to the running context, for all that follows in it. Does nothing outside of one. */
export function setContext(fields: RequestContext): void {
  const context = storage.getStore()
  if (context) Object.assign(context, fields)
}
