export interface LineLimitOptions {
  /** Between two lines of one kind. */
  readonly everyMs: number
  /** Kinds come from a closed list. Default clock: `performance.now`. */
  readonly now?: () => number
}

/**
 * For events that come as often as others make them: lets the first of a kind through, then one in `everyMs`. Answers how
 * many came since the line before, with this one; 0: no line now.
 */
export function createLineLimit({ everyMs, now = () => performance.now() }: LineLimitOptions) {
  const kinds = new Map<string, { count: number; nextAtMs: number }>()
  return (kind: string): number => {
    const nowMs = now()
    const { count, nextAtMs } = kinds.get(kind) ?? { count: 0, nextAtMs: nowMs }
    const isDue = nowMs >= nextAtMs
    kinds.set(kind, isDue ? { count: 0, nextAtMs: nowMs + everyMs } : { count: count + 1, nextAtMs })
    return isDue ? count + 1 : 0
  }
}
