/** What helmet and CORS say is the same for all answers to one origin: they are asked once for each, then only quoted. */
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import cors from 'cors'
import type { RequestHandler } from 'express'
import helmet from 'helmet'
import type { Field } from './answer-fields.ts'

const exposedHeaders = [
  'X-Request-Id',
  'X-RateLimit-Limit',
  'X-RateLimit-Remaining',
  'X-RateLimit-Reset',
  'RateLimit',
  'RateLimit-Policy',
  'Retry-After',
  'X-Gateway-Reason',
]

export interface FixedFields {
  readonly of: (origin: string | undefined) => readonly Field[]
  /** Answers every `OPTIONS`; the rest passes. */
  readonly preflight: RequestHandler
}

export function createFixedFields(corsOrigins: readonly string[]): FixedFields {
  const [only, ...more] = corsOrigins
  const answerCors = cors({
    origin: more.length === 0 ? only : [...corsOrigins],
    credentials: true,
    exposedHeaders,
  })
  const secure = helmet()

  function ask(origin?: string): readonly Field[] {
    const request = new IncomingMessage(new Socket())
    request.method = 'GET'
    if (origin !== undefined) request.headers.origin = origin
    const response = new ServerResponse(request)
    const fields: Field[] = []
    response.setHeader = (name, value) => {
      fields.push([name.toLowerCase(), String(value)])
      return response
    }
    secure(request, response, () => {})
    answerCors(request, response, () => {})
    return fields
  }

  const byOrigin = new Map(corsOrigins.map((origin) => [origin, ask(origin)]))
  const forOthers = ask()
  return {
    of: (origin) => (origin === undefined ? undefined : byOrigin.get(origin)) ?? forOthers,
    preflight: (request, response, next) =>
      request.method === 'OPTIONS' ? answerCors(request, response, next) : next(),
  }
}
