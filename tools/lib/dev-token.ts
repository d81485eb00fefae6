import { createHmac } from 'node:crypto'

/** The secret of `npm start` when the environment names none. Public by nature: never for a deployment. */
export const developmentSecret = 'development-only-secret-0123456789abcdef'

/** How long a development token lives. */
const tokenLifeSeconds = 12 * 3600

export interface DevTokenOptions {
  readonly user: string
  readonly secret: string
  /** Seconds since the epoch. */
  readonly now: number
  readonly issuer?: string | undefined
  readonly audience?: string | undefined
}

/** A JWT (RFC 7519, HS256) for a demo user, good for twelve hours. */
export function devToken(options: DevTokenOptions): string {
  const { user, secret, now, issuer, audience } = options
  const header = { alg: 'HS256', typ: 'JWT' }
  const claims = {
    sub: user,
    preferred_username: user,
    iat: now,
    exp: now + tokenLifeSeconds,
    ...(issuer === undefined ? {} : { iss: issuer }),
    ...(audience === undefined ? {} : { aud: audience }),
  }
  const text = [header, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.')
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
}
