/** `/health`: the event loop turns. `/ready`: this instance should get traffic. Neither waits for anything. */
import type { RequestHandler } from 'express'

/** What readiness is made of; each is known already, nothing is asked when a probe comes. */
export interface Readiness {
  /** A short stable word for why not, in order of importance; undefined when ready. */
  notReadyReason(): string | undefined
}

/** Liveness, with the contract's body. */
export function health(): RequestHandler {
  return (_request, response) => {
    response.json({ status: 'ok', service: 'gateway' })
  }
}

/** Readiness: 200 `{status:"ready"}` or 503 `{status:"degraded", reason}`. */
export function ready(readiness: Readiness): RequestHandler {
  return (_request, response) => {
    const reason = readiness.notReadyReason()
    response.setHeader('Cache-Control', 'no-store')
    if (reason === undefined) response.json({ status: 'ready' })
    else response.status(503).setHeader('Retry-After', 1).json({ status: 'degraded', reason })
  }
}
