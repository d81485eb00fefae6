import type { Context } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { currentContext, currentSpans, runInScope, setManager } from './context.ts'

/** OpenTelemetry's context manager, on the place where the request's context is: who enters both enters once. */
export class SpanContextManager extends AsyncLocalStorageContextManager {
  override enable(): this {
    setManager(true)
    return super.enable()
  }

  override disable(): this {
    setManager(false)
    return super.disable()
  }

  override active(): Context {
    return currentSpans()
  }

  // oxlint-disable-next-line max-params -- the interface's own
  override with<A extends unknown[], F extends (...args: A) => ReturnType<F>>(
    context: Context,
    fn: F,
    self?: ThisParameterType<F>,
    ...args: A
  ): ReturnType<F> {
    return runInScope(currentContext(), context, () => fn.apply(self, args))
  }
}
