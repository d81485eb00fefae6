/** Every HTTP error of the gateway leaves through here: JSON, one table from code to status, never a stack. */
import { STATUS_CODES } from 'node:http'
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

/** Whether the client asks for problem details (RFC 9457 §3); everyone else gets the members that clients know. */
function wantsProblem({ req }: Response): boolean {
  return req.headers.accept?.includes('application/problem+json') === true
}

/** The ids by which an answer is found again in logs and traces. */
export function answerIds(): { readonly requestId?: string; readonly traceId?: string } {
  const span = trace.getActiveSpan()?.spanContext()
  const requestId = currentContext()?.requestId
  return {
    ...(requestId !== undefined && { requestId }),
    ...(span && isSpanContextValid(span) && { traceId: span.traceId }),
  }
}

/**
 * Answers `error` as `{error, code, message, requestId, traceId?}`, with the members of RFC 9457 beside them when the
 * client accepts `application/problem+json`. Anything but a {@link GatewayError} is `internal`. Gives `Retry-After`
 * (seconds) where a retry can help, and `X-Gateway-Reason` where it is known whose failure it was. Does nothing more than
 * close when the headers are out.
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
  if (row.retryable)
    response.setHeader('Retry-After', Math.max(1, Math.ceil((known.retryAfterMs ?? 1000) / 1000)))
  if (known.reason !== undefined) response.setHeader('X-Gateway-Reason', known.reason)
  const code = backendCode ?? known.code
  const body = { error: message, code, message, ...answerIds() }
  response.status(row.http)
  if (!wantsProblem(response)) {
    response.json(body)
    return
  }
  const [instance] = response.req.originalUrl.split('?', 1)
  const problem = { type: 'about:blank', title: STATUS_CODES[row.http] ?? 'Error', status: row.http }
  response.type('application/problem+json').json({ ...problem, detail: message, instance, ...body })
}
