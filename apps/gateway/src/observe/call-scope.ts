/** Where a call to the internal port is answered: inside the caller's trace and request. */
import { requestIdOf, runWithContext } from '@gw/observability/http'
import { extractTraceparent, isTracing, withSpan } from '@gw/observability/tracing'

/** Which call, and what its metadata says. */
export interface CallFacts {
  /** `package.Service/Method`. */
  readonly rpc: string
  readonly traceparent: unknown
  readonly requestId: unknown
}

/** Runs `answer` in the call's scope. */
export type CallScope = <T>(call: CallFacts, answer: () => Promise<T>) => Promise<T>

/** Without an SDK the caller's `traceparent` is handed on as it came. */
export const callScope: CallScope = ({ rpc, traceparent, requestId }, answer) => {
  const caller = extractTraceparent(traceparent)
  const ids = {
    requestId: requestIdOf(requestId),
    ...(caller && typeof traceparent === 'string' && { traceparent }),
  }
  return runWithContext(ids, () => {
    if (!isTracing()) return answer()
    const attributes = { 'rpc.system.name': 'grpc', 'rpc.method': rpc }
    return withSpan(rpc, { kind: 'server', parent: caller ?? 'root', attributes }, answer)
  })
}
