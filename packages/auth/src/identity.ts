import { isJsonObject, type JsonObject } from './strict-json.ts'

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
  /** All claims of the token. */
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
  const identity: { -readonly [Member in keyof Identity]: Identity[Member] } = {
    subject: checked.subject,
    expiresAtMs: checked.expiresAtMs,
    scopes: scopesOf(claims),
    roles: rolesOf(claims),
    claims,
  }
  const username = usernameOf(claims)
  if (username !== undefined) identity.username = username
  if (isText(claims['jti'])) identity.tokenId = claims['jti']
  if (isText(claims['sid'])) identity.sessionId = claims['sid']
  if (checked.issuedAtMs !== undefined) identity.issuedAtMs = checked.issuedAtMs
  freezeAll([claims, identity.scopes, identity.roles])
  return Object.freeze(identity)
}

/** First non-blank of `preferred_username`, `username`, `nickname`, `email`, trimmed. */
function usernameOf(claims: JsonObject): string | undefined {
  for (const name of usernameClaims) {
    const value = claims[name]
    const username = isText(value) ? value.trim() : ''
    if (username !== '') return username
  }
  return undefined
}

const usernameClaims = ['preferred_username', 'username', 'nickname', 'email']

function scopesOf({ scope, scp }: JsonObject): string[] {
  const scopes = words(scope)
  return scp === undefined ? scopes : [...new Set([...scopes, ...words(scp)])]
}

function rolesOf({ roles, realm_access: realm, resource_access: clients }: JsonObject): string[] {
  const own = strings(roles)
  const granted = isJsonObject(realm) ? strings(realm['roles']) : []
  if (isJsonObject(clients))
    for (const [client, access] of Object.entries(clients))
      if (isJsonObject(access)) for (const role of strings(access['roles'])) granted.push(`${client}:${role}`)
  return own.length === 0 ? granted : [...new Set([...own, ...granted])]
}

function words(value: unknown): string[] {
  if (typeof value !== 'string') return strings(value)
  const list = value.split(' ')
  return list.includes('') ? list.filter((word) => word !== '') : list
}

function strings(value: unknown): string[] {
  if (value === undefined) return []
  return Array.isArray(value)
    ? value.filter((item): item is string => typeof item === 'string' && item !== '')
    : []
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function freezeAll(values: readonly unknown[]): void {
  for (const value of values) {
    if (typeof value !== 'object' || value === null || Object.isFrozen(value)) continue
    Object.freeze(value)
    freezeAll(Array.isArray(value) ? value : Object.values(value))
  }
}
