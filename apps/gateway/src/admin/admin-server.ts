/**
 * The admin port: the API behind one token, and the console page, which is only text until somebody types the token in.
 *
 *   request id ▶ request guard ▶ security headers ▶ console files ▶ token ▶ JSON body ▶ routes ▶ 404 ▶ one error answer
 *
 * A port of its own beside the internal one: that one speaks gRPC, and backends that may publish must not be able to
 * reach this one.
 */
import { createHash, randomUUID, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { extractBearer } from '@gw/auth'
import { runWithContext } from '@gw/observability/logger'
import express, { type ErrorRequestHandler, type RequestHandler, type Router } from 'express'
import helmet from 'helmet'
import { GatewayError } from '../errors.ts'
import { asGatewayError } from '../http/app.ts'
import { createHttpServer } from '../http/http-server.ts'
import { requestGuard } from '../http/request-guard.ts'
import { sendError } from '../http/send-error.ts'

export interface AdminServerOptions {
  readonly host: string
  readonly port: number
  readonly token: string
  readonly routes: Router
  /** A call without the token, or with another one. */
  readonly onRefused: (address: string | undefined) => void
  readonly onError: (error: unknown) => void
}

export interface AdminServer {
  /** Resolves to the port. */
  listen(): Promise<number>
  /** Ends open connections too. Idempotent. */
  close(): Promise<void>
}

const consoleFolder = new URL('../../console/', import.meta.url)
const consoleFiles = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/console.css': ['console.css', 'text/css; charset=utf-8'],
  '/console.js': ['console.js', 'text/javascript; charset=utf-8'],
  '/api.js': ['api.js', 'text/javascript; charset=utf-8'],
  '/view.js': ['view.js', 'text/javascript; charset=utf-8'],
  '/overview.js': ['overview.js', 'text/javascript; charset=utf-8'],
} as const

/** Compared by digest: equal length, and equal time whatever differs. */
function requireToken({ token, onRefused }: Pick<AdminServerOptions, 'token' | 'onRefused'>): RequestHandler {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  const wanted = digest(token)
  return (request, response, next) => {
    const given = extractBearer(request)
    if (given.ok && timingSafeEqual(digest(given.token), wanted)) return next()
    onRefused(request.socket.remoteAddress)
    response.setHeader('WWW-Authenticate', 'Bearer realm="admin"')
    next(new GatewayError('auth_denied', 'Missing or wrong admin token'))
  }
}

const nameRequest: RequestHandler = (_request, response, next) => {
  const requestId = randomUUID()
  response.setHeader('X-Request-Id', requestId)
  response.setHeader('Cache-Control', 'no-store')
  runWithContext({ requestId }, next)
}

/** Throws when a file of the console is missing: the build is broken then. */
export function createAdminServer(options: AdminServerOptions): AdminServer {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.set('query parser', 'simple')
  app.use(nameRequest)
  app.use(
    helmet({
      contentSecurityPolicy: {
        useDefaults: false,
        directives: {
          'default-src': ["'none'"],
          'script-src': ["'self'"],
          'style-src': ["'self'"],
          'img-src': ["'self'", 'data:'],
          'connect-src': ["'self'"],
          'form-action': ["'none'"],
          'base-uri': ["'none'"],
          'frame-ancestors': ["'none'"],
        },
      },
      // Plain HTTP on loopback or behind a tunnel: a promise of TLS would lock the operator out.
      strictTransportSecurity: false,
      referrerPolicy: { policy: 'no-referrer' },
    }),
  )
  // Users and channels may have `/` in their names, and nobody else reads these paths.
  app.use(requestGuard({ encodedSeparators: true }))
  for (const [path, [file, type]] of Object.entries(consoleFiles)) {
    const content = readFileSync(new URL(file, consoleFolder))
    app.get(path, (_request, response) => {
      response.type(type).send(content)
    })
  }
  app.use('/api', requireToken(options), express.json({ limit: 4096, strict: true }), options.routes)
  app.use((_request, response) => sendError(response, new GatewayError('not_found')))
  // Express tells error handlers by their four parameters.
  // oxlint-disable-next-line max-params
  const onError: ErrorRequestHandler = (error, _request, response, _next) => {
    const known = asGatewayError(error)
    if (!(known instanceof GatewayError)) options.onError(known)
    sendError(response, known)
  }
  app.use(onError)

  const server = createHttpServer(app)
  server.maxConnections = 64
  let closed: Promise<void> | undefined
  return {
    async listen() {
      server.listen(options.port, options.host)
      await once(server, 'listening')
      const address = server.address()
      return typeof address === 'object' && address !== null ? address.port : options.port
    },
    close() {
      closed ??= new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
      return closed
    },
  }
}
