/** Why a call to this package failed; anything else that can happen is a return value. */
export type RateLimitErrorCode =
  /** A policy or an option is wrong: thrown at construction. */
  | 'INVALID_OPTIONS'
  /** A request names no known policy, has a broken cost, or there are none or too many of them. */
  | 'INVALID_REQUEST'
  /** The store did not answer in time, or answered with an error, or its breaker is open. */
  | 'STORE_UNAVAILABLE'
  /** The limiter or the store was closed. */
  | 'CLOSED'

/** The one error of this package. The message may be shown to a client; the reason is in `cause`. */
export class RateLimitError extends Error {
  readonly code: RateLimitErrorCode

  constructor(code: RateLimitErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options)
    this.name = 'RateLimitError'
    this.code = code
  }
}
