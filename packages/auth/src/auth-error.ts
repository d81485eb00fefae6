/** Why a call of this package failed: a mistake in the configuration, or a backend that cannot be reached. */
export type AuthErrorCode =
  | 'no_keys'
  | 'weak_secret'
  | 'bad_key'
  | 'ambiguous_keys'
  | 'insecure_url'
  | 'bad_option'
  | 'not_ready'
  | 'closed'
  | 'bad_revocation'
  | 'revocations_full'
  | 'store_unavailable'

/**
 * The one error of this package. Match `code`, never the message; the message names the option at fault, holds no
 * secret, key or token, and is safe to show. A refused token is never an error: see `VerifyResult`.
 */
export class AuthError extends Error {
  readonly code: AuthErrorCode

  constructor(code: AuthErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'AuthError'
    this.code = code
  }
}
