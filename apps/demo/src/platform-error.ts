import { status } from '@grpc/grpc-js'

/** gRPC status names that the services answer with. */
export type PlatformErrorCode = Exclude<keyof typeof status, 'OK'>

/** A refusal that ends a call with a gRPC status. The message is the status details, safe to show to a client. */
export class PlatformError extends Error {
  override readonly name = 'PlatformError'
  readonly code: PlatformErrorCode

  constructor(code: PlatformErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** The trimmed value, or INVALID_ARGUMENT with `details` when it is blank or longer than 256 characters. */
export function requireText(value: string | undefined, details: string): string {
  const text = value?.trim() ?? ''
  if (text === '' || text.length > 256) throw new PlatformError('INVALID_ARGUMENT', details)
  return text
}
