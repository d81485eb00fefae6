/** A mistake in the options, or `connect` after the end. Everything else is a result or an event. */
export type ClientErrorCode = 'no_web_socket' | 'invalid_options' | 'closed'

/** The one error class of the package. */
export class ClientError extends Error {
  readonly code: ClientErrorCode

  constructor(code: ClientErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'ClientError'
    this.code = code
  }
}
