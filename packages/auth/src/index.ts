export {
  createTokenVerifier,
  type TokenCacheLimits,
  type TokenVerifier,
  type TokenVerifierOptions,
  type VerifyResult,
} from './token-verifier.ts'
export { extractClaims, isExpired, type UnverifiedClaims } from './claims.ts'
export type { Identity } from './identity.ts'
export {
  type BearerResult,
  extractBearer,
  extractMessageToken,
  extractSocketToken,
  redactUrl,
  type SocketTokenOptions,
  type SocketTokenResult,
  type TokenCarrier,
} from './bearer.ts'
export type {
  JwksSource,
  KeycloakSource,
  KeyScope,
  KeySource,
  PublicKeySource,
  RemoteKeyOptions,
  SecretSource,
} from './key-source.ts'
export type { PublicKeyAlgorithm } from './verification-key.ts'
export { refusalMessage, type TokenRefusal, tokenRefusals } from './token-refusal.ts'
export { isRevokedBy, type Revocable, type Revocation, type RevocationRequest } from './revocation.ts'
export type { RevocationStore } from './revocation-store.ts'
export { MemoryRevocationStore, type MemoryRevocationStoreOptions } from './memory-revocation-store.ts'
export type { LogoutResult } from './logout-token.ts'
export { AuthError, type AuthErrorCode } from './auth-error.ts'
export type { AuthEvent, KeyFetchFailure } from './auth-event.ts'
