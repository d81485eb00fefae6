/** `invalid`: a broken call. `unavailable`: the backend cannot be reached or refuses writes. `closed`: after `close()`. */
export type ConnectionsErrorCode = 'invalid' | 'unavailable' | 'closed'

/** The one error of this package. Match `code`; `retryable` is true for `unavailable` only. */
export class ConnectionsError extends Error {
  readonly code: ConnectionsErrorCode

  constructor(code: ConnectionsErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ConnectionsError'
    this.code = code
  }

  /** The same call may succeed later. */
  get retryable(): boolean {
    return this.code === 'unavailable'
  }
}
