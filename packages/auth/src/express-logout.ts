import type { Request, RequestHandler } from 'express'
import { maxTokenBytes } from './parsed-token.ts'
import type { TokenVerifier } from './token-verifier.ts'

/**
 * The endpoint for OpenID Connect back-channel logout (§2.5, §2.8): a POSTed form with `logout_token`; 200 when the
 * logout is applied on all instances, 400 `{error: 'invalid_request', error_description}` when the token is refused.
 * Reads the form itself (at most 16 KB) unless a body parser already did. Failures of the store go to `next`.
 */
export function logoutHandler(verifier: Pick<TokenVerifier, 'acceptLogoutToken'>): RequestHandler {
  return async (request, response, next) => {
    const refuse = (description: string): void => {
      response.status(400).json({ error: 'invalid_request', error_description: description })
    }
    try {
      response.set('Cache-Control', 'no-store')
      const token = await readLogoutToken(request)
      if (token === undefined) return refuse('A form with one logout_token is required')
      const result = await verifier.acceptLogoutToken(token)
      if (!result.ok) return refuse(result.message)
      response.status(200).end()
    } catch (error) {
      next(error)
    }
  }
}

async function readLogoutToken(request: Request): Promise<string | undefined> {
  const parsed: unknown = request.body
  if (typeof parsed === 'object' && parsed !== null && 'logout_token' in parsed)
    return typeof parsed.logout_token === 'string' ? parsed.logout_token : undefined
  if (!request.is('application/x-www-form-urlencoded')) return undefined
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) return undefined
    bytes += chunk.length
    if (bytes > 2 * maxTokenBytes) return undefined
    chunks.push(chunk)
  }
  const tokens = new URLSearchParams(Buffer.concat(chunks).toString('utf8')).getAll('logout_token')
  return tokens.length === 1 ? tokens[0] : undefined
}
