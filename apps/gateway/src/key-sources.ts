import type { KeySource } from '@gw/auth'
import type { Config } from './config.ts'

const defaultKeycloakUrl = 'http://localhost:8080'

type KeySettings = Pick<
  Config,
  'JWT_PUBLIC_KEY' | 'JWT_HS256_SECRET' | 'JWT_SECRET' | 'KEYCLOAK_URL' | 'KEYCLOAK_REALM'
>

/**
 * The contract's choice of keys (§8): a public key wins over everything; else a secret verifies tokens without `kid`, and
 * Keycloak those with one. Keycloak is asked when it is configured, or when nothing else is.
 */
export function keySourcesOf(config: KeySettings): readonly KeySource[] {
  if (config.JWT_PUBLIC_KEY !== undefined) return [{ kind: 'public-key', key: config.JWT_PUBLIC_KEY }]
  const secret = config.JWT_HS256_SECRET ?? config.JWT_SECRET
  const keycloak = {
    kind: 'keycloak',
    url: config.KEYCLOAK_URL ?? defaultKeycloakUrl,
    realm: config.KEYCLOAK_REALM,
    allowHttp: true,
  } as const
  if (secret === undefined) return [keycloak]
  const local = { kind: 'secret', secret, tokens: 'without-kid' } as const
  return config.KEYCLOAK_URL === undefined
    ? [local]
    : [local, { ...keycloak, tokens: 'with-kid', lazy: true }]
}
