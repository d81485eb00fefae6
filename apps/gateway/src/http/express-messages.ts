import { IncomingMessage, ServerResponse } from 'node:http'
import type { Express } from 'express'

export interface MessageClasses {
  readonly IncomingMessage: typeof IncomingMessage
  readonly ServerResponse: typeof ServerResponse
}

/**
 * Classes for Node's server, whose requests and answers are the app's from the start. Express would give each of them
 * another prototype as it comes, which costs more than all of its routing; this way it finds its own.
 */
export function messageClasses(app: Express): MessageClasses {
  class AppRequest extends IncomingMessage {}
  class AppResponse<Request extends IncomingMessage> extends ServerResponse<Request> {}
  Object.setPrototypeOf(AppRequest.prototype, app.request)
  Object.setPrototypeOf(AppResponse.prototype, app.response)
  // By this undici knows a server's request. Of any other body that it gives up it ends the socket too: the client's, to
  // whom the answer is still to be told.
  Object.defineProperty(AppRequest.prototype, 'constructor', { value: IncomingMessage })
  Object.assign(app, { request: AppRequest.prototype, response: AppResponse.prototype })
  return { IncomingMessage: AppRequest, ServerResponse: AppResponse }
}
