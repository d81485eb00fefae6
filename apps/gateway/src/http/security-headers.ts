import type { ServerResponse } from 'node:http'
import type { RequestHandler } from 'express'
import helmet from 'helmet'

/** Helmet's headers, which are the same for every answer: asked for once, then only written. */
export function securityHeaders(): RequestHandler {
  const fields: [string, string][] = []
  const recorder: Pick<ServerResponse, 'setHeader' | 'removeHeader'> = {
    setHeader(name, value) {
      fields.push([name, String(value)])
      return recorder as ServerResponse
    },
    removeHeader() {},
  }
  helmet()({} as never, recorder as ServerResponse, () => {})
  return (_request, response, next) => {
    for (const [name, value] of fields) response.setHeader(name, value)
    next()
  }
}
