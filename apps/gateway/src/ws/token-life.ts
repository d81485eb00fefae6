/**
 * How long a token keeps its open socket:
 *
 *   ──── valid ────┬─ warnMs ─┬─ graceMs ─┐
 *            onExpiring      exp      onExpired
 */
export interface TokenLifeOptions {
  readonly expiresAtMs: number
  /** A new token is asked for this long before the end. Default 60 000. */
  readonly warnMs?: number
  /** And awaited this long after it. Default 30 000. */
  readonly graceMs?: number
  readonly onExpiring: () => void
  readonly onExpired: () => void
}

// A longer timer would fire at once.
const maxTimerMs = 2 ** 31 - 1

/** Starts to count; returns the way to stop. */
export function watchTokenLife(options: TokenLifeOptions): () => void {
  const { expiresAtMs, warnMs = 60_000, graceMs = 30_000, onExpiring, onExpired } = options
  let timer: NodeJS.Timeout

  function at(timeMs: number, then: () => void): void {
    const left = timeMs - Date.now()
    timer =
      left > maxTimerMs ? setTimeout(() => at(timeMs, then), maxTimerMs) : setTimeout(then, Math.max(0, left))
  }

  at(expiresAtMs - warnMs, () => {
    onExpiring()
    at(expiresAtMs + graceMs, onExpired)
  })
  return () => clearTimeout(timer)
}
