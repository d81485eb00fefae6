import { AsyncLocalStorage } from 'node:async_hooks'

/** Whose request the running code serves: handed on to other services and with what is published. */
export interface CallOrigin {
  /** W3C Trace Context. */
  readonly traceparent?: string
  readonly requestId?: string
}

// Asynchronous context has to be reachable from code that nobody passes anything to; it is empty outside of a call.
const storage = new AsyncLocalStorage<CallOrigin>()

/** The origin of the call that is being served; empty for what the platform does of its own accord. */
export function currentOrigin(): CallOrigin {
  return storage.getStore() ?? {}
}

/** Runs `task`, and all it awaits, on behalf of `origin`. */
export function runWithOrigin<T>(origin: CallOrigin, task: () => T): T {
  return storage.run(origin, task)
}

/** From gRPC metadata or HTTP headers as plain values. */
export function originOf(metadata: Readonly<Record<string, unknown>>): CallOrigin {
  const { traceparent, 'x-request-id': requestId } = metadata
  return {
    ...(typeof traceparent === 'string' && { traceparent }),
    ...(typeof requestId === 'string' && { requestId }),
  }
}
