/** What every revocation store refuses: with it a revocation would be gone at once, or stored without a bound. */
export const brokenRetention: readonly { readonly retentionMs?: number; readonly capacity?: number }[] = [
  { retentionMs: Number.NaN },
  { retentionMs: 0 },
  { retentionMs: -1 },
  { retentionMs: Infinity },
  { capacity: Number.NaN },
  { capacity: 0 },
]
