import type { AuthEvent } from './auth-event.ts'
import { AuthError } from './auth-error.ts'
import { checkNumbers, maxTimerMs } from './check-numbers.ts'
import { checkClaims, type ClaimPolicy } from './claims.ts'
import { createIdentity, type Identity } from './identity.ts'
import { createKeyRing, type KeyAnswer } from './key-ring.ts'
import type { KeySource } from './key-source.ts'
import { acceptLogoutToken, type LogoutResult } from './logout-token.ts'
import { MemoryRevocationStore } from './memory-revocation-store.ts'
import {
  maxTokenBytes,
  parseHeader,
  type ParsedToken,
  parseToken,
  type ParseResult,
  type TokenHeader,
} from './parsed-token.ts'
import { parseRevocation, type Revocation, type RevocationRequest } from './revocation.ts'
import type { RevocationStore } from './revocation-store.ts'
import { TokenCache, unshared } from './token-cache.ts'
import { refusalMessage, type TokenRefusal } from './token-refusal.ts'
import { checkSignature } from './verification-key.ts'

/** Outcome of a verification. `code` is stable; `message` is constant per code and safe to show. */
export type VerifyResult =
  | { readonly ok: true; readonly identity: Identity }
  | { readonly ok: false; readonly code: TokenRefusal; readonly message: string }

/** Verifies access tokens, knows revocations, and tells when one arrives. */
export interface TokenVerifier {
  /** Never rejects for a bad token or an identity provider that is down: both are results. */
  verifyToken(token: string): Promise<VerifyResult>
  /** Are the keys loaded, and the revocations known? For readiness probes. */
  ready(): boolean
  /**
   * Resolves once `ready()`; rejects with `not_ready` after `timeoutMs` (default 30 000), with `closed`, or with
   * `bad_option` for a time that no timer takes.
   */
  whenReady(options?: { readonly timeoutMs?: number }): Promise<void>
  /** Refuses tokens issued before an instant (default: until now) on all instances that share the store. */
  revoke(request: RevocationRequest): Promise<void>
  /** Verifies an OIDC back-channel logout token and revokes what it names. Needs `issuer` and an audience. */
  acceptLogoutToken(token: string): Promise<LogoutResult>
  /** Calls back for each revocation, from any instance: close the sockets it hits (`isRevokedBy`). Returns the way to stop. */
  onRevoked(listener: (revocation: Revocation) => void): () => void
  /** Stops refreshing keys. Does not close a store that was passed in. May be called twice. */
  close(): Promise<void>
}

export interface TokenVerifierOptions {
  readonly keys: readonly KeySource[]
  /** Accepted `iss` values, compared exactly. Not checked when absent. */
  readonly issuer?: string | readonly string[]
  /** Accepted when one of them is in `aud` or equals `azp`. Not checked when absent. */
  readonly audience?: string | readonly string[]
  /** How far the issuer's clock may be ahead, for `iat` and `nbf`. Default 30 000. */
  readonly clockSkewMs?: number
  /** How long after `exp` a token is still taken. Default 0: a token never outlives its `exp`. */
  readonly expirySkewMs?: number
  /** Longest `exp - iat` (without `iat`: time left). Default 86 400 000. */
  readonly maxLifetimeMs?: number
  /** Cache of verified tokens, or false. */
  readonly cache?: false | TokenCacheLimits
  /** Default: a `MemoryRevocationStore` of this verifier. */
  readonly revocations?: RevocationStore
  /** When the store has not been in sync for `maxRevocationStaleMs`: go on with what is known, or refuse. Default `allow`. */
  readonly onRevocationsStale?: 'allow' | 'deny'
  /** Default 60 000. */
  readonly maxRevocationStaleMs?: number
  /** Audience of back-channel logout tokens (the client id). Default `audience`. */
  readonly logoutAudience?: string | readonly string[]
  readonly now?: () => number
  readonly fetch?: typeof globalThis.fetch
  readonly onEvent?: (event: AuthEvent) => void
}

/** How many verified tokens are remembered, and for how long: never past `exp` or a revocation. */
export interface TokenCacheLimits {
  /** Default 50 000. */
  readonly maxEntries?: number
  /** Characters of all tokens together. Default 67 108 864. */
  readonly maxBytes?: number
  /** Default 60 000: then a signature is checked again. */
  readonly ttlMs?: number
}

/**
 * Creates a verifier for JWTs (RFC 7519) by the best current practices of RFC 8725. Throws `AuthError` for a weak
 * secret, a bad key, or key sources that could both fit one token; starts fetching remote keys.
 */
export function createTokenVerifier(options: TokenVerifierOptions): TokenVerifier {
  const { now = Date.now, onEvent = ignore, maxRevocationStaleMs = 60_000 } = options
  const policy = claimPolicy(options)
  const cacheOptions = options.cache === false ? { maxEntries: 0 } : options.cache
  const { maxEntries = 50_000, maxBytes = 64 * 2 ** 20, ttlMs = 60_000 } = cacheOptions ?? {}
  const { clockSkewMs, expirySkewMs, maxLifetimeMs } = policy
  checkNumbers({ clockSkewMs, expirySkewMs, maxLifetimeMs }, { least: 0 })
  checkNumbers({ maxEntries, maxBytes, ttlMs, maxRevocationStaleMs }, { least: 0 })
  const sweepMs = Math.min(Math.max(ttlMs, leastSweepMs), mostSweepMs)
  const cache =
    maxEntries === 0 ? undefined : new TokenCache<Accepted>({ maxEntries, maxBytes, sweepMs, now })
  const ring = createKeyRing(options.keys, {
    fetch: options.fetch ?? globalThis.fetch,
    now,
    onEvent,
    onKeysRetired: () => cache?.clear(),
  })
  const retentionMs = Math.max(1, maxLifetimeMs + clockSkewMs + expirySkewMs)
  const revocations = options.revocations ?? new MemoryRevocationStore({ retentionMs, now })
  const denyWhenStale = options.onRevocationsStale === 'deny'
  const readHeader = rememberHeaders()
  const reportRevoked = revocations.onRevoked(({ kind }) => onEvent({ type: 'revoked', kind }))

  function verifyToken(token: string): Promise<VerifyResult> {
    if (typeof token !== 'string') return Promise.resolve(refuse('token_malformed'))
    if (token.length > maxTokenBytes) return Promise.resolve(refuse('token_too_large'))
    const cached = cache?.get(token)
    if (cached !== undefined) return checkRevoked(cached)
    const parsed = parseToken(token, readHeader)
    if (!parsed.ok) return Promise.resolve(refuse(parsed.code))
    const key = ring.find(parsed.value.claims['iss'], parsed.value.keyId)
    if (!(key instanceof Promise)) return verifyWithKey(token, parsed.value, { key })
    return key.then((answer) => verifyWithKey(token, parsed.value, { key: answer }))
  }

  function verifyWithKey(
    text: string,
    token: ParsedToken,
    { key, renewed = false }: KeyFound,
  ): Promise<VerifyResult> {
    const untrusted = typeof key === 'string' ? key : checkSignature(key, token)
    if (untrusted === 'signature_invalid' && token.keyId === undefined && !renewed) {
      const renewal = ring.renew(token.claims['iss'])
      if (renewal !== undefined)
        return renewal.then((answer) => verifyWithKey(text, token, { key: answer, renewed: true }))
    }
    if (untrusted !== undefined) return Promise.resolve(refuse(untrusted))
    const nowMs = now()
    const checked = checkClaims(token, policy, nowMs)
    if (!checked.ok) return Promise.resolve(refuse(checked.code))
    const result = { ok: true, identity: createIdentity(token.claims, checked.value) } as const
    const accepted = { identity: result.identity, answer: Promise.resolve(result) }
    const goodUntilMs = checked.value.expiresAtMs + policy.expirySkewMs
    cache?.set(text, { value: accepted, untilMs: Math.min(goodUntilMs, nowMs + ttlMs) })
    return checkRevoked(accepted)
  }

  /** Asked on every use, cached or not: a cached token must not outlive its revocation. */
  function checkRevoked({ identity, answer }: Accepted): Promise<VerifyResult> {
    if (denyWhenStale && revocations.lastSyncMs() + maxRevocationStaleMs < now())
      return Promise.resolve(refuse('revocations_unavailable'))
    return revocations.isRevoked(identity) ? Promise.resolve(refuse('revoked')) : answer
  }

  return {
    verifyToken,
    ready: () => ring.isReady() && revocations.isReady(),
    whenReady: async ({ timeoutMs = 30_000 } = {}) => {
      checkNumbers({ timeoutMs }, { least: 0, most: maxTimerMs })
      await withDeadline(Promise.all([ring.whenReady(), revocations.whenReady()]), timeoutMs)
    },
    revoke: async (request) => revocations.revoke(parseRevocation(request, now())),
    acceptLogoutToken: (token) =>
      acceptLogoutToken(token, {
        ring,
        revocations,
        now,
        issuers: policy.issuers ?? boundIssuers(options.keys),
        audiences: listOf(options.logoutAudience) ?? policy.audiences,
        clockSkewMs: policy.clockSkewMs,
        retentionMs,
      }),
    onRevoked: (listener) =>
      revocations.onRevoked((revocation) => {
        try {
          listener(revocation)
        } catch (error) {
          onEvent({ type: 'listener_failed', error })
        }
      }),
    close: async () => {
      ring.close()
      cache?.clear()
      reportRevoked()
      if (options.revocations === undefined) await revocations.close()
    },
  }
}

interface KeyFound {
  readonly key: KeyAnswer
  /** Fetched for this very token: a bad signature is final. */
  readonly renewed?: boolean
}

/** What is remembered of a good token; the answer as a settled promise, so that a hit allocates nothing. */
interface Accepted {
  readonly identity: Identity
  readonly answer: Promise<VerifyResult>
}

const maxHeaders = 64
const leastSweepMs = 1000
const mostSweepMs = 60_000

function refuse(code: TokenRefusal): VerifyResult {
  return { ok: false, code, message: refusalMessage(code) }
}

/** All tokens of one key share one header segment: parse it once. Bounded; a flood of new ones only empties it. */
function rememberHeaders(): (segment: string) => ParseResult<TokenHeader> {
  const known = new Map<string, ParseResult<TokenHeader>>()
  return (segment) => {
    const hit = known.get(segment)
    if (hit !== undefined) return hit
    const header = parseHeader(segment)
    if (header.ok && segment.length <= 512) {
      if (known.size >= maxHeaders) known.clear()
      known.set(unshared(segment), header)
    }
    return header
  }
}

function claimPolicy(options: TokenVerifierOptions): ClaimPolicy {
  return {
    issuers: listOf(options.issuer),
    audiences: listOf(options.audience),
    clockSkewMs: options.clockSkewMs ?? 30_000,
    expirySkewMs: options.expirySkewMs ?? 0,
    maxLifetimeMs: options.maxLifetimeMs ?? 86_400_000,
  }
}

function listOf(value: string | readonly string[] | undefined): readonly string[] | undefined {
  const list = typeof value === 'string' ? [value] : value
  if (list?.length === 0 || list?.includes(''))
    throw new AuthError('bad_option', 'issuer and audience must not be empty: leave them out instead')
  return list
}

function boundIssuers(keys: readonly KeySource[]): readonly string[] | undefined {
  const issuers = keys.flatMap(({ issuer }) => (issuer === undefined ? [] : [issuer]))
  return issuers.length === 0 ? undefined : issuers
}

async function withDeadline(work: Promise<unknown>, timeoutMs: number): Promise<void> {
  const { promise: late, cancel } = failAfter(timeoutMs)
  try {
    await Promise.race([work, late])
  } finally {
    cancel()
  }
}

function failAfter(timeoutMs: number): { promise: Promise<never>; cancel: () => void } {
  let timer: NodeJS.Timeout | undefined
  const promise = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new AuthError('not_ready', 'Keys did not load in time')), timeoutMs)
  })
  return { promise, cancel: () => clearTimeout(timer) }
}

function ignore(): void {}
