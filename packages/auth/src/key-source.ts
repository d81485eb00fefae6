import type { PublicKeyAlgorithm } from './verification-key.ts'

/** Which tokens a source is for. Two sources may never fit the same token: configuration chooses, not the token. */
export interface KeyScope {
  /** Only tokens whose `iss` is exactly this; either all sources name an issuer, or none. */
  readonly issuer?: string
  /** Only tokens with, or only tokens without, a `kid` in the header. Default `any`. */
  readonly tokens?: 'any' | 'with-kid' | 'without-kid'
}

/** An HS256 secret of at least 32 bytes; text counts as UTF-8. */
export interface SecretSource extends KeyScope {
  readonly kind: 'secret'
  readonly secret: string | Uint8Array
  /** Only tokens with exactly this `kid`: lets two secrets overlap while one is rotated out. */
  readonly keyId?: string
}

/** One public key: PEM, or bare base64 of the DER. Its type decides the algorithm; `algorithm` only confirms it. */
export interface PublicKeySource extends KeyScope {
  readonly kind: 'public-key'
  readonly key: string
  readonly algorithm?: PublicKeyAlgorithm
  readonly keyId?: string
}

/** How keys are fetched from an identity provider. */
export interface RemoteKeyOptions {
  /** Allow `http:` for a host that is not loopback, e.g. inside a private network. Default false. */
  readonly allowHttp?: boolean
  /** Don't fetch before a token needs a key, and don't let `ready()` wait for it. Default false. */
  readonly lazy?: boolean
  /** Deadline of one fetch, body included. Default 2 000. */
  readonly timeoutMs?: number
  /** Time between two background refreshes, varied by 20 %. Default 300 000. */
  readonly refreshMs?: number
  /** Least time between two fetches that unknown key ids may cause, failed ones included. Default 10 000. */
  readonly cooldownMs?: number
  /** How long keys stay in use while refreshes fail. Default 86 400 000. */
  readonly maxStaleMs?: number
}

/** A JSON Web Key Set (RFC 7517) at a URL. Tokens need a `kid`, unless the set holds exactly one key. */
export interface JwksSource extends KeyScope, RemoteKeyOptions {
  readonly kind: 'jwks'
  readonly url: string
}

/** A Keycloak realm: tokens with `kid` by its `certs`, tokens without by the realm's `public_key`. */
export interface KeycloakSource extends KeyScope, RemoteKeyOptions {
  readonly kind: 'keycloak'
  /** Base URL, e.g. `http://localhost:8080`, with or without a trailing slash. */
  readonly url: string
  readonly realm: string
}

/** Where keys come from. */
export type KeySource = SecretSource | PublicKeySource | JwksSource | KeycloakSource
