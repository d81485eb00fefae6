/** `invalid`: a broken call. `unavailable`: the backend cannot be reached or refuses writes. `closed`: after `close()`. */
export type PubSubErrorCode = 'invalid' | 'unavailable' | 'closed'

/** The one error of this package. Match `code`; `retryable` is true for `unavailable` only. */
export class PubSubError extends Error {
  readonly code: PubSubErrorCode

  constructor(code: PubSubErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'PubSubError'
    this.code = code
  }

  /** The same call may succeed later. Give a publish an idempotency key to make its retry safe. */
  get retryable(): boolean {
    return this.code === 'unavailable'
  }
}
