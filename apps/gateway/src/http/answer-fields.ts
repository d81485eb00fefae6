/**
 * The header fields that an answer has whoever gives it. They are gathered as a list and written with the head: set one
 * by one, these thirty would cost a proxied request a tenth of its time.
 *
 *   security, CORS, request id, limits ──▶ list ──┬── response.json(), end() ──▶ set, where not set already
 *                                                 └── relayHead() ─────────────▶ written as it is, in one pass
 */
import { type IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { RequestHandler, Response } from 'express'
import type { FixedFields } from './fixed-fields.ts'
import { responseFields } from './forwarded-headers.ts'

/** The name in lower case. */
export type Field = readonly [name: string, value: string]

declare global {
  // oxlint-disable-next-line typescript/no-namespace -- the way Express types are extended
  namespace Express {
    interface Response {
      fields?: Field[]
    }
  }
}

function writeHead(this: Response, ...head: [statusCode: number]): Response {
  for (const [name, value] of this.fields ?? []) if (!this.hasHeader(name)) this.setHeader(name, value)
  ServerResponse.prototype.writeHead.apply(this, head)
  return this
}

/** Mounted first: begins the list, and sees to it that it goes out. */
export function gatherFields(fixed: FixedFields): RequestHandler {
  return (request, response, next) => {
    response.fields = [...fixed.of(request.headers.origin)]
    response.writeHead = writeHead
    next()
  }
}

/** Adds a field to the list, or sets it where none is gathered. */
export function addField(
  response: ServerResponse & Pick<Response, 'fields'>,
  name: string,
  value: string,
): void {
  if (response.fields) response.fields.push([name.toLowerCase(), value])
  else response.setHeader(name, value)
}

/** Writes the head of a backend's answer, without what belongs to its connection. Its fields win over ours. */
export function relayHead(response: Response, statusCode: number, theirs: IncomingHttpHeaders): void {
  const head = responseFields(theirs)
  for (const [name, value] of response.fields ?? []) if (!Object.hasOwn(theirs, name)) head.push(name, value)
  ServerResponse.prototype.writeHead.call(response, statusCode, head)
}
