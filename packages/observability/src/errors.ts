/** Why an option was refused at construction; matched by `code`, never by the text. */
export type ObservabilityErrorCode = 'invalid_option'

/** The package's one error class. Thrown only for a mistake in the options, so at boot and never on a request. */
export class ObservabilityError extends Error {
  override readonly name: string = 'ObservabilityError'
  readonly code: ObservabilityErrorCode

  constructor(code: ObservabilityErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** Throws `invalid_option` unless `valid`. `rule` names the option and what it must be. */
export function requireOption(valid: boolean, rule: string): void {
  if (!valid) throw new ObservabilityError('invalid_option', `Invalid option: ${rule}.`)
}
