import type { Revocable, Revocation } from './revocation.ts'

/**
 * Where revocations live. Every instance holds all of them, so that asking is a look into memory and never a wait.
 * Implementations: `MemoryRevocationStore` (one instance), `RedisRevocationStore` (all instances, within a second).
 */
export interface RevocationStore {
  /** Resolves when the revocation is recorded for all instances; rejects with `AuthError` when it is not. */
  revoke(revocation: Revocation): Promise<void>
  /** Is a token with these claims revoked, as far as this instance knows? */
  isRevoked(token: Revocable): boolean
  /** Calls back once for each revocation that becomes known here, own ones included. Returns the way to stop. */
  onRevoked(listener: (revocation: Revocation) => void): () => void
  /** Instant (`now`) of the last proof that nothing is missing here; always now for a store in memory. */
  lastSyncMs(): number
  /** Has this instance seen all revocations at least once? */
  isReady(): boolean
  whenReady(): Promise<void>
  /** Remembers a one-time id (a logout token's `jti`) until `untilMs`; false when it was used before. */
  claimOnce(id: string, untilMs: number): Promise<boolean>
  /** Stops timers and own connections. May be called twice. */
  close(): Promise<void>
}
