export interface BackoffOptions {
  /** Bound of the first delay. Default 500. */
  readonly baseMs?: number
  /** Bound of every delay. Default 30 000. */
  readonly maxMs?: number
  /** How long a connection must have been open for the count to begin anew. Default 10 000. */
  readonly stableMs?: number
}

/** The defaults of `backoff`. */
export const backoffDefaults: Required<BackoffOptions> = { baseMs: 500, maxMs: 30_000, stableMs: 10_000 }

/**
 * Full jitter: a random time up to min(max, base × 2^attempt), so that clients that were cut together do not come back
 * together. `attempt` counts from 0, `random` is in [0, 1).
 */
export function backoffDelay(
  attempt: number,
  random: number,
  { baseMs, maxMs }: Required<BackoffOptions> = backoffDefaults,
): number {
  return Math.floor(random * Math.min(maxMs, baseMs * 2 ** attempt))
}
