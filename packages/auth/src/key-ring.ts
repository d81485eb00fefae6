import { AuthError } from './auth-error.ts'
import type { KeySource } from './key-source.ts'
import { createRemoteKeys, type RemoteKeysContext } from './remote-keys.ts'
import { importPublicKey, importSecret, type VerificationKey } from './verification-key.ts'

/** A key, or why there is none. */
export type KeyAnswer = VerificationKey | 'key_unknown' | 'keys_unavailable'

/** Finds keys by key id. Answers at once when no fetch is needed, so that a warm verification never waits. */
export interface KeyLookup {
  find(keyId: string | undefined): KeyAnswer | Promise<KeyAnswer>
  /**
   * The key for tokens without a key id, fetched again after a bad signature: nothing else tells that it was replaced.
   * Undefined when it cannot have changed, or was asked for within the cooldown.
   */
  renew(): Promise<KeyAnswer> | undefined
  /** Are the keys here that must be here before traffic is taken? */
  isReady(): boolean
  whenReady(): Promise<void>
  close(): void
}

/** All configured sources as one: picks the source by issuer and presence of a `kid`, then asks it for the key. */
export interface KeyRing {
  find(issuer: unknown, keyId: string | undefined): KeyAnswer | Promise<KeyAnswer>
  /** After a bad signature of a token without a key id; see `KeyLookup.renew`. */
  renew(issuer: unknown): Promise<KeyAnswer> | undefined
  isReady(): boolean
  whenReady(): Promise<void>
  close(): void
}

/** Imports all keys now, so that mistakes fail at boot; throws `AuthError` when two sources could fit one token. */
export function createKeyRing(sources: readonly KeySource[], context: RemoteKeysContext): KeyRing {
  if (sources.length === 0) throw new AuthError('no_keys', 'At least one key source is required')
  refuseAmbiguity(sources)
  // Every source is checked before the first fetch starts, so that a bad configuration leaves nothing running.
  const entries = sources.map((source) => ({ source, open: prepare(source, context) }))
  const opened = entries.map(({ source, open }) => ({ source, keys: open() }))
  const lookup = (issuer: unknown, keyId: string | undefined): KeyLookup | undefined =>
    opened.find(({ source }) => fits(source, issuer, keyId))?.keys
  return {
    find: (issuer, keyId) => lookup(issuer, keyId)?.find(keyId) ?? 'key_unknown',
    renew: (issuer) => lookup(issuer, undefined)?.renew(),
    isReady: () => opened.every(({ keys }) => keys.isReady()),
    whenReady: async () => {
      await Promise.all(opened.map(({ keys }) => keys.whenReady()))
    },
    close: () => {
      for (const { keys } of opened) keys.close()
    },
  }
}

function prepare(source: KeySource, context: RemoteKeysContext): () => KeyLookup {
  if (source.kind === 'jwks' || source.kind === 'keycloak') return createRemoteKeys(source, context)
  const key =
    source.kind === 'secret' ? importSecret(source.secret) : importPublicKey(source.key, source.algorithm)
  return () => localKey(key)
}

function localKey(key: VerificationKey): KeyLookup {
  return {
    find: () => key,
    renew: () => undefined,
    isReady: () => true,
    whenReady: () => Promise.resolve(),
    close: () => {},
  }
}

function fits(source: KeySource, issuer: unknown, keyId: string | undefined): boolean {
  if (source.issuer !== undefined && source.issuer !== issuer) return false
  const exact = exactKeyId(source)
  if (exact !== undefined) return exact === keyId
  const tokens = source.tokens ?? 'any'
  return tokens === 'any' || (tokens === 'with-kid') === (keyId !== undefined)
}

function exactKeyId(source: KeySource): string | undefined {
  return source.kind === 'secret' || source.kind === 'public-key' ? source.keyId : undefined
}

function refuseAmbiguity(sources: readonly KeySource[]): void {
  const bound = sources.filter(({ issuer }) => issuer !== undefined).length
  if (bound !== 0 && bound !== sources.length)
    throw new AuthError('ambiguous_keys', 'Either every key source names its issuer, or none does')
  for (const [index, one] of sources.entries()) {
    if (exactKeyId(one) !== undefined && one.tokens === 'without-kid')
      throw new AuthError(
        'ambiguous_keys',
        `Key source ${index + 1} asks for a key id and for tokens without one`,
      )
    for (const other of sources.slice(index + 1))
      if (one.issuer === other.issuer && keyIdsOverlap(one, other))
        throw new AuthError(
          'ambiguous_keys',
          `Key source ${index + 1} (${one.kind}) and a later one (${other.kind}) fit the same tokens`,
        )
  }
}

function keyIdsOverlap(one: KeySource, other: KeySource): boolean {
  const [first, second] = [exactKeyId(one), exactKeyId(other)]
  if (first !== undefined && second !== undefined) return first === second
  const kinds = new Set([tokensOf(one), tokensOf(other)])
  return kinds.has('any') || kinds.size === 1
}

function tokensOf(source: KeySource): 'any' | 'with-kid' | 'without-kid' {
  return exactKeyId(source) === undefined ? (source.tokens ?? 'any') : 'with-kid'
}
