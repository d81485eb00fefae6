/**
 * How long a token keeps its open socket:
 *
 *   ──── valid ────┬─ warnMs ─┬─ graceMs ─┐
 *           onTokenExpiring  exp   onTokenExpired
 */
export interface TokenLivesOptions {
  /** A new token is asked for this long before the end. Default 60 000. */
  readonly warnMs?: number
  /** And awaited this long after it. Default 30 000. */
  readonly graceMs?: number
}

/** Whose token it is; each is called once for a token. */
export interface TokenHolder {
  onTokenExpiring(): void
  onTokenExpired(): void
}

export interface TokenLives {
  /** Counts this token's life from now on, instead of the holder's one before. */
  watch(holder: TokenHolder, expiresAtMs: number): void
  forget(holder: TokenHolder): void
  close(): void
}

const stepMs = 250

/** The tokens of all sockets by one timer, up to a quarter of a second late. */
export function createTokenLives({ warnMs = 60_000, graceMs = 30_000 }: TokenLivesOptions): TokenLives {
  // In ms since 1970. Numbers beside the holders: a look at ten thousand touches none of them.
  const warnings = new Map<TokenHolder, number>()
  const ends = new Map<TokenHolder, number>()
  let nextAtMs = Infinity

  function look(): void {
    const now = Date.now()
    if (now < nextAtMs) return
    nextAtMs = Infinity
    for (const [holder, atMs] of warnings) {
      if (atMs > now) {
        nextAtMs = Math.min(nextAtMs, atMs)
        continue
      }
      warnings.delete(holder)
      ends.set(holder, atMs + warnMs + graceMs)
      holder.onTokenExpiring()
    }
    for (const [holder, atMs] of ends) {
      if (atMs > now) {
        nextAtMs = Math.min(nextAtMs, atMs)
        continue
      }
      ends.delete(holder)
      holder.onTokenExpired()
    }
  }

  const timer = setInterval(look, stepMs).unref()

  return {
    watch(holder, expiresAtMs) {
      const atMs = expiresAtMs - warnMs
      ends.delete(holder)
      warnings.set(holder, atMs)
      nextAtMs = Math.min(nextAtMs, atMs)
    },
    forget(holder) {
      warnings.delete(holder)
      ends.delete(holder)
    },
    close: () => clearInterval(timer),
  }
}
