/** What can go wrong in this package: a mistake in the options, a store that fails, or an entry in it that is none of ours. */
export type ChatErrorCode = 'invalid_options' | 'store_failed' | 'corrupt_entry' | 'timeout'

/** The one error class of the package; `message` is safe to show. Refused messages are return values, not errors. */
export class ChatError extends Error {
  readonly code: ChatErrorCode

  constructor(code: ChatErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'ChatError'
    this.code = code
  }
}

/** Throws `invalid_options` naming every option that is not a whole number of at least 1. */
export function requireCounts(options: Readonly<Record<string, number>>): void {
  const wrong = Object.entries(options).filter(([, value]) => !Number.isSafeInteger(value) || value < 1)
  if (wrong.length === 0) return
  const names = wrong.map(([name, value]) => `${name} (${value})`).join(', ')
  throw new ChatError('invalid_options', `Must be whole numbers of at least 1: ${names}`)
}
