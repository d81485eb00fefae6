/** Every HTTP error of the gateway leaves through here: JSON, one table from code to status, never a stack. */
import { STATUS_CODES } from 'node:http'
import type { Response } from 'express'
import { currentContext } from '@gw/observability/http'
import { activeSpan } from '@gw/observability/tracing'
import { isSpanContextValid } from '@opentelemetry/api'
import { BackendError } from '../grpc/service-client.ts'
import { errorTable, GatewayError } from '../errors.ts'

declare global {
  // oxlint-disable-next-line typescript/no-namespace -- the way Express types are extended
  namespace Express {
    interface Response {
      /** Hears of errors that nobody foresaw, and of what kept an error from being answered. */
      onDefect?: (error: unknown) => void
    }
  }
}

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
  const span = activeSpan()?.spanContext()
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
 * close when the headers are out. Never throws: an answer that can't be given is closed. `onDefect` hears of that, and
 * of `internal`.
 */
export function sendError(response: Response, error: unknown, texts: ErrorTexts = {}): void {
  try {
    answer(response, error, texts)
  } catch (failure) {
    // In front of Express nobody would catch it, and the process would end.
    response.destroy()
    response.onDefect?.(failure)
  }
}

function answer(response: Response, error: unknown, texts: ErrorTexts): void {
  const known =
    error instanceof GatewayError ? error : new GatewayError('internal', texts.failure, { cause: error })
  if (!(error instanceof GatewayError)) response.onDefect?.(error)
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  const row = errorTable[known.code]
  const message = textOf(known, texts)
  if (row.retryable)
    response.setHeader('Retry-After', Math.max(1, Math.ceil((known.retryAfterMs ?? 1000) / 1000)))
  if (known.reason !== undefined) response.setHeader('X-Gateway-Reason', known.reason)
  const code = (known instanceof BackendError ? known.codeWord : undefined) ?? known.code
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
