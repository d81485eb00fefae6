import type { JsonObject } from './strict-json.ts'

/** Who a verified token speaks for. Deeply frozen: one object is shared by all requests with the same token. */
export interface Identity {
  /** `sub`: 1 to 255 characters, no control characters. */
  readonly subject: string
  /** First non-blank of `preferred_username`, `username`, `nickname`, `email`, trimmed. */
  readonly username?: string
  /** `jti` */
  readonly tokenId?: string
  /** `sid` (OIDC session), as Keycloak sends it. */
  readonly sessionId?: string
  readonly issuedAtMs?: number
  readonly expiresAtMs: number
  /** Words of `scope` or `scp`. */
  readonly scopes: readonly string[]
  /** `roles`, Keycloak's `realm_access.roles`, and `resource_access` as `client:role`. */
  readonly roles: readonly string[]
  /** All claims of the token, without a prototype. */
  readonly claims: Readonly<Record<string, unknown>>
}

/** The claims that were checked before: subject and times. */
export interface CheckedClaims {
  readonly subject: string
  readonly issuedAtMs?: number
  readonly expiresAtMs: number
}

/** Builds the identity from claims of a token whose signature and registered claims are already verified. */
export function createIdentity(claims: JsonObject, checked: CheckedClaims): Identity {
  const username = usernameOf(claims)
  const tokenId = text(claims['jti'])
  const sessionId = text(claims['sid'])
  return deepFreeze({
    ...checked,
    ...(username === undefined ? {} : { username }),
    ...(tokenId === undefined ? {} : { tokenId }),
    ...(sessionId === undefined ? {} : { sessionId }),
    scopes: [...new Set([...words(claims['scope']), ...words(claims['scp'])])],
    roles: rolesOf(claims),
    claims: Object.assign(Object.create(null), claims),
  })
}

/** First non-blank of `preferred_username`, `username`, `nickname`, `email`, trimmed. */
export function usernameOf(claims: JsonObject): string | undefined {
  for (const name of ['preferred_username', 'username', 'nickname', 'email']) {
    const value = text(claims[name])?.trim()
    if (value) return value
  }
  return undefined
}

function rolesOf(claims: JsonObject): string[] {
  const roles = new Set([...strings(claims['roles']), ...strings(member(claims['realm_access'], 'roles'))])
  const clients = claims['resource_access']
  if (typeof clients === 'object' && clients !== null)
    for (const [client, access] of Object.entries(clients))
      for (const role of strings(member(access, 'roles'))) roles.add(`${client}:${role}`)
  return [...roles]
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? Object.getOwnPropertyDescriptor(value, name)?.value
    : undefined
}

function words(value: unknown): string[] {
  return typeof value === 'string' ? value.split(' ').filter((word) => word !== '') : strings(value)
}

function strings(value: unknown): string[] {
  return Array.isArray(value)
    ? value.filter((item): item is string => typeof item === 'string' && item !== '')
    : []
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const member of Object.values(value)) deepFreeze(member)
  }
  return value
}
