/**
 * Refuses requests that two servers could read differently, which is what request smuggling and path confusion live on:
 * a target with encoded separators or dots, backslashes, empty segments, absolute form or bad percent-encoding; more than
 * one Host (RFC 9112 §3.2); a transfer coding that isn't exactly `chunked`. The connection ends with the answer, so
 * nothing that was hidden behind such a request is served.
 */
import type { IncomingMessage } from 'node:http'
import type { Request, RequestHandler } from 'express'
import { GatewayError } from '../errors.ts'

export interface RequestGuardOptions {
  /** Lets `%2f` and `%5c` pass in a path, where no second server reads it. Default false. */
  readonly encodedSeparators?: boolean
}

const encodedSeparator = /%2f|%5c/i
const ambiguousPath = /%2e|%00|\\|\/\/|;|[^\x21-\x7e]|(?:^|\/)\.{1,2}(?:\/|$)/i

/** Of a request's target in origin form. */
export function pathOf(target: string): string {
  const queryAt = target.indexOf('?')
  return queryAt < 0 ? target : target.slice(0, queryAt)
}

function isPlainPath(target: string, { encodedSeparators = false }: RequestGuardOptions): boolean {
  const path = pathOf(target)
  if (!path.startsWith('/') || ambiguousPath.test(path)) return false
  if (!path.includes('%')) return true
  if (!encodedSeparators && encodedSeparator.test(path)) return false
  try {
    decodeURIComponent(path)
    return true
  } catch {
    return false
  }
}

function countOf({ rawHeaders }: IncomingMessage, name: string): number {
  let count = 0
  // Names and values in turn.
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const field = rawHeaders[at]
    if (field?.length === name.length && field.toLowerCase() === name) count += 1
  }
  return count
}

function problemOf(request: Request, options: RequestGuardOptions): string | undefined {
  const coding = request.headers['transfer-encoding']
  if (coding !== undefined && coding.trim().toLowerCase() !== 'chunked') return 'Unknown transfer coding'
  if (countOf(request, 'host') > 1) return 'More than one Host'
  return isPlainPath(request.originalUrl, options) ? undefined : 'Ambiguous request path'
}

export function requestGuard(options: RequestGuardOptions = {}): RequestHandler {
  return (request, response, next) => {
    const problem = problemOf(request, options)
    if (problem === undefined) return next()
    response.setHeader('Connection', 'close')
    next(new GatewayError('invalid_request', problem))
  }
}
