import express, { type Express, type RequestHandler } from 'express'
import jsonwebtoken from 'jsonwebtoken'
import * as z from 'zod'
import type { Fault, Faults } from '../control/faults.ts'
import type { PageFiles } from './page-files.ts'

/** Who the page can be, and whom it can seat as a robot. */
const demoUsers = ['alice', 'bob', 'carol', 'dave'] as const

/** Short, so that an afternoon with the page shows how a token is renewed on an open socket. */
const tokenLife = '15m'

/** Troubles that the page may make, by the word that it sends. All of them end by themselves. */
const troubles: Readonly<Record<'slow' | 'failing' | 'hanging', Fault>> = {
  slow: { ...fault('delay'), delayMs: 1200, count: 10 },
  failing: { ...fault('error'), method: 'SubmitAction', count: 3 },
  hanging: { ...fault('hang'), method: 'SubmitAction', count: 1 },
}

function fault(kind: Fault['kind']): Fault {
  return { service: 'game', kind, delayMs: 0, code: 'UNAVAILABLE', details: 'fault injected' }
}

const tokenWish = z.strictObject({ user: z.enum(demoUsers) })
const troubleWish = z.strictObject({ trouble: z.enum(['slow', 'failing', 'hanging']) })

export interface PageServerOptions {
  readonly files: PageFiles
  readonly faults: Pick<Faults, 'add' | 'clear'>
  /** HS256, the gateway's too. */
  readonly secret: string
  readonly issuer: string | undefined
  readonly audience: string | undefined
}

/** Nothing but ourselves: no inline script, no foreign host, no frame around us. */
const secure: RequestHandler = (request, response, next) => {
  response.set({
    'content-security-policy':
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
      "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
  })
  // A page of somebody else in the developer's browser must not get a token or break a backend.
  const site = request.get('sec-fetch-site')
  if (request.method !== 'GET' && site !== undefined && site !== 'same-origin') {
    response.status(403).json({ error: 'FOREIGN_PAGE' })
    return
  }
  next()
}

/**
 * The web page under `/demo`, with the little that it needs from a server of its own: tokens of the demo users and
 * troubles on order. Serve it on loopback, in development only: it gives a token to whoever asks.
 */
export function createPageServer(options: PageServerOptions): Express {
  const { files, faults, secret, issuer, audience } = options
  const app = express()
  app.disable('x-powered-by')
  app.use(secure, express.json({ limit: '1kb' }))
  app.get('/demo', (_, response) => {
    response.type('html').send(files['index.html'])
  })
  app.get('/demo/page.css', (_, response) => {
    response.type('css').send(files['page.css'])
  })
  app.get('/demo/page.js', (_, response) => {
    response.type('js').send(files['page.js'])
  })
  app.get('/demo/users', (_, response) => {
    response.json({ users: demoUsers })
  })
  app.post('/demo/token', (request, response) => {
    const wish = tokenWish.safeParse(request.body)
    if (!wish.success) {
      response.status(400).json({ error: 'UNKNOWN_USER' })
      return
    }
    const { user } = wish.data
    const token = jsonwebtoken.sign({ sub: user, preferred_username: user }, secret, {
      algorithm: 'HS256',
      expiresIn: tokenLife,
      ...(issuer !== undefined && { issuer }),
      ...(audience !== undefined && { audience }),
    })
    response.json({ token })
  })
  app.post('/demo/trouble', (request, response) => {
    const wish = troubleWish.safeParse(request.body)
    if (!wish.success) {
      response.status(400).json({ error: 'UNKNOWN_TROUBLE' })
      return
    }
    faults.clear()
    faults.add(troubles[wish.data.trouble])
    response.sendStatus(204)
  })
  app.delete('/demo/trouble', (_, response) => {
    faults.clear()
    response.sendStatus(204)
  })
  return app
}
