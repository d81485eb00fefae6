/** For what a connection has without asking: a part that was down when it came must not cost it that for ever. */
import { setTimeout as pause } from 'node:timers/promises'
import { errorTable, GatewayError } from '../errors.ts'

export interface KeepTryingOptions {
  readonly attempt: () => Promise<unknown>
  /** Asked before each attempt. */
  readonly isWanted: () => boolean
  /** The first failure, and one that no further attempt could mend. */
  readonly onError: (error: unknown) => void
  /** The first wait is at most this, then twice as much up to `maxMs`. Defaults 1000 and 10 000. */
  readonly baseMs?: number
  readonly maxMs?: number
}

/** Retryable failures are tried again with full-jitter backoff while it is wanted. Never rejects. */
export async function keepTrying(options: KeepTryingOptions): Promise<void> {
  const { attempt, isWanted, onError, baseMs = 1000, maxMs = 10_000 } = options
  for (let tries = 0; isWanted(); tries++) {
    try {
      await attempt()
      return
    } catch (error) {
      const mayPass = error instanceof GatewayError && errorTable[error.code].retryable
      if (tries === 0 || !mayPass) onError(error)
      if (!mayPass) return
      await pause(Math.random() * Math.min(maxMs, baseMs * 2 ** Math.min(tries, 10)), undefined, {
        ref: false,
      })
    }
  }
}
