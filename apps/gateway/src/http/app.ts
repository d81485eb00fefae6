/**
 * The order that a request goes through:
 *
 *   security headers, CORS ▶ request id, trace ▶ request guard ─┬─ admitted ▶ proxies (/api/accounts, …)
 *                                                               └─ Express ─┬─ /health /ready /openapi.json (/docs /demo)
 *                                                                           └─ admitted ▶ JSON body ▶ routes ▶ 404
 *
 * Admitted: limit by address ▶ auth ▶ limit by user and address. Every failure ends in one error answer.
 *
 * What is proxied never comes to Express's router: that would cost such a request 3 % of its time, to match no route.
 */
import type { RequestListener } from 'node:http'
import type { TokenVerifier } from '@gw/auth'
import { requireAuth } from '@gw/auth/express'
import { setContext } from '@gw/observability/http'
import express, {
  type ErrorRequestHandler,
  type Request,
  type RequestHandler,
  type Response,
  Router,
} from 'express'
import { GatewayError } from '../errors.ts'
import { gatherFields } from './answer-fields.ts'
import { apiDocs } from './api-docs.ts'
import { type MessageClasses, messageClasses } from './express-messages.ts'
import { createFixedFields } from './fixed-fields.ts'
import { health, type Readiness, ready } from './health.ts'
import { inTurn } from './in-turn.ts'
import type { MountableProxy } from './proxies.ts'
import { pathOf, requestGuard } from './request-guard.ts'
import type { MountableRoute } from './route.ts'
import { passedOn } from './routes/passed-on.ts'
import { sendError } from './send-error.ts'

export interface HttpAppOptions {
  readonly corsOrigins: readonly string[]
  readonly readiness: Readiness
  readonly verifier: TokenVerifier
  readonly onAuthRefused: (reason: string, request: Request) => void
  /** Request id, trace, access log, duration metric. */
  readonly context: RequestHandler
  readonly limitBeforeAuth: RequestHandler
  /** OpenID Connect back-channel logout: the provider says whose tokens end; it proves itself by the token it posts. */
  readonly backchannelLogout?: RequestHandler
  readonly limitAfterAuth: RequestHandler
  /** Only on a developer's machine: the demo's page, for everyone. */
  readonly demoPage?: RequestHandler
  /** Streamed before any body is parsed. */
  readonly proxies: readonly MountableProxy[]
  readonly routes: readonly MountableRoute[]
  /** `/docs`: the API document as a page. `/openapi.json` is always there. */
  readonly hasApiPage: boolean
  /** The time that all backend calls of one request share. */
  readonly budgetMs: number
  /** An error that nobody foresaw, answered with 500, or one that could not be answered: its connection was ended. */
  readonly onDefect?: (error: unknown) => void
}

const jsonLimitBytes = 100 * 1024

/** Errors of the body parser and the router carry a status; anything else is ours to hide. */
export function asGatewayError(error: unknown): unknown {
  if (error instanceof GatewayError || !(error instanceof Error)) return error
  const status = 'status' in error ? error.status : undefined
  if (status === 413) return new GatewayError('payload_too_large', undefined, { cause: error })
  if (typeof status === 'number' && status >= 400 && status < 500)
    return new GatewayError('invalid_request', 'Malformed request', { cause: error })
  return error
}

/** The access line and everything logged below carry the user. */
const nameCaller: RequestHandler = (request, _response, next) => {
  if (request.auth) setContext({ userId: request.auth.subject })
  next()
}

/** A forged logout token counts like any failed login: guessing is limited. */
function countRefused({ onAuthRefused }: Pick<HttpAppOptions, 'onAuthRefused'>): RequestHandler {
  return (request, response, next) => {
    response.once('finish', () => {
      if (response.statusCode === 400) onAuthRefused('logout_token', request)
    })
    next()
  }
}

/** The metric's label as dashboards know it: `/api/accounts*`. */
function nameProxied(prefix: string): RequestHandler {
  const route = `${prefix}*`
  return (_request, response, next) => {
    response.locals['route'] = route
    next()
  }
}

/** Takes the paths that a proxy has, as Express would match `prefix` and `prefix/*path`; `admit` comes first. */
function proxied(proxies: readonly MountableProxy[], admit: RequestHandler): RequestHandler {
  const ways = proxies.map(({ prefix, handler }) => ({
    prefix,
    below: `${prefix}/`,
    handle: inTurn(admit, nameProxied(prefix), handler),
  }))
  return (request, response, next) => {
    const path = pathOf(request.url).toLowerCase()
    for (const { prefix, below, handle } of ways)
      if (path.startsWith(below) || path === prefix) return void handle(request, response, next)
    next()
  }
}

/** For Node's server. */
export interface HttpApp {
  /** For requests and answers made of `messages`. */
  readonly listener: RequestListener
  readonly messages: MessageClasses
}

/** The app, without a server. */
export function createHttpApp(options: HttpAppOptions): HttpApp {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.set('query parser', 'simple')
  if (options.onDefect) app.response.onDefect = options.onDefect

  const fixed = createFixedFields(options.corsOrigins)
  const admit = inTurn(
    options.limitBeforeAuth,
    requireAuth(options.verifier, {
      realm: 'gateway',
      onRefused: options.onAuthRefused,
      answer: (response, { code, message }) =>
        sendError(response, new GatewayError(code === 'auth_unavailable' ? 'unavailable' : code, message)),
    }),
    nameCaller,
    options.limitAfterAuth,
  )
  app.get('/health', health())
  app.get('/ready', ready(options.readiness))
  if (options.demoPage) app.all(['/demo', '/demo/*path'], nameProxied('/demo'), options.demoPage)
  app.use(apiDocs({ routes: [...passedOn, ...options.routes], hasPage: options.hasApiPage }))
  if (options.backchannelLogout)
    app.post('/backchannel-logout', options.limitBeforeAuth, countRefused(options), options.backchannelLogout)
  app.use(admit)
  app.use(express.json({ limit: jsonLimitBytes, strict: true }))

  const router = Router({ caseSensitive: false })
  for (const route of options.routes) route.mount(router, options)
  app.use(router)

  app.use((_request, response) => sendError(response, new GatewayError('not_found')))
  // Express tells error handlers by their four parameters.
  // oxlint-disable-next-line max-params
  const onError: ErrorRequestHandler = (error, _request, response, _next) =>
    sendError(response, asGatewayError(error))
  app.use(onError)

  const serve = inTurn(
    gatherFields(fixed),
    options.context,
    fixed.preflight,
    requestGuard(),
    proxied(options.proxies, admit),
    app,
  )
  return {
    messages: messageClasses(app),
    listener(given, answer) {
      const [request, response] = [given as Request, answer as Response]
      // As Express begins, which finds it done.
      request.res = response
      request.originalUrl = request.url
      response.locals = {}
      serve(request, response, (error) => sendError(response, asGatewayError(error)))
    },
  }
}
