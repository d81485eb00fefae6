/** Every HTTP error of the gateway leaves through here: JSON, one table from code to status, never a stack. */
import type { Response } from 'express'
import { currentContext } from '@gw/observability/http'
import { isSpanContextValid, trace } from '@opentelemetry/api'
import { BackendError } from '../grpc/service-client.ts'
import { errorTable, GatewayError } from '../errors.ts'

/** Texts of a route: `failure` when a backend call failed, `notFound` when it said so. */
export interface ErrorTexts {
  readonly failure?: string
  readonly notFound?: string
}

function textOf(error: GatewayError, texts: ErrorTexts): string {
  if (!(error instanceof BackendError)) return error.message
  if (error.code === 'not_found') return texts.notFound ?? texts.failure ?? error.message
  return texts.failure ?? error.message
}

/**
 * Answers `error` as `{error, code, message, requestId, traceId?}`. Anything but a {@link GatewayError} is `internal`.
 * Gives `Retry-After` (seconds) where a retry can help. Does nothing more than close when the headers are out.
 */
export function sendError(response: Response, error: unknown, texts: ErrorTexts = {}): void {
  const known =
    error instanceof GatewayError ? error : new GatewayError('internal', texts.failure, { cause: error })
  response.locals['error'] = error
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  const row = errorTable[known.code]
  const message = textOf(known, texts)
  const backendCode =
    known instanceof BackendError && /^[A-Z][A-Z_]{2,63}$/.test(known.details) ? known.details : undefined
  const span = trace.getActiveSpan()?.spanContext()
  const traceId = span && isSpanContextValid(span) ? span.traceId : undefined
  const requestId = currentContext()?.requestId
  if (row.retryable)
    response.setHeader('Retry-After', Math.max(1, Math.ceil((known.retryAfterMs ?? 1000) / 1000)))
  const code = backendCode ?? known.code
  const ids = { ...(requestId && { requestId }), ...(traceId && { traceId }) }
  response.status(row.http).json({ error: message, code, message, ...ids })
}
