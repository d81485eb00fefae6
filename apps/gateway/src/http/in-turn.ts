import type { RequestHandler } from 'express'

/**
 * The handlers as one, each going on to the next by `next()`. Express asks of each layer again whether path and method
 * are its own; what every request passes is not worth that question. What one throws or rejects with goes to the error
 * handlers, as there.
 */
export function inTurn(...handlers: readonly RequestHandler[]): RequestHandler {
  return (request, response, done) => {
    let at = 0
    const next = (error?: unknown): void => {
      const handler = handlers[at++]
      if (error !== undefined || handler === undefined) return done(error)
      try {
        reportRejection(handler(request, response, next), done)
      } catch (thrown) {
        done(thrown)
      }
    }
    next()
  }
}

function reportRejection(result: unknown, report: (error: unknown) => void): void {
  if (result instanceof Promise) result.catch(report)
}
