import type { AuthEvent } from './auth-event.ts'
import { AuthError } from './auth-error.ts'
import { checkNumbers, maxTimerMs } from './check-numbers.ts'
import type { KeyLookup } from './key-ring.ts'
import { parseJwks, parseRealm } from './key-set-document.ts'
import type { JwksSource, KeycloakSource } from './key-source.ts'
import { RemoteKeySet, type RemoteKeySetOptions } from './remote-key-set.ts'

/** What key sets share with their verifier. */
export type RemoteKeysContext = Pick<RemoteKeySetOptions, 'fetch' | 'now' | 'onKeysRetired'> & {
  readonly onEvent: (event: AuthEvent) => void
}

/** Checks a remote source now and returns how to open it; opening starts the first fetch unless the source is lazy. */
export function createRemoteKeys(
  source: JwksSource | KeycloakSource,
  context: RemoteKeysContext,
): () => KeyLookup {
  const shared = { ...context, ...remoteOptions(source) }
  if (source.kind === 'jwks') {
    const url = checkUrl(source.url, source)
    return () => new RemoteKeySet({ ...shared, url, parse: parseJwks })
  }
  if (source.realm === '') throw new AuthError('bad_option', 'The Keycloak realm is empty')
  const base = `${source.url.replace(/\/+$/, '')}/realms/${encodeURIComponent(source.realm)}`
  const certsUrl = checkUrl(`${base}/protocol/openid-connect/certs`, source)
  const realmUrl = checkUrl(base, source)
  const openCerts = (): KeyLookup => new RemoteKeySet({ ...shared, url: certsUrl, parse: parseJwks })
  // Keycloak always sends a `kid`, so the realm's own key is rarely needed: it is not fetched ahead of need.
  const openRealm = (lazy: boolean): KeyLookup =>
    new RemoteKeySet({ ...shared, url: realmUrl, parse: parseRealm, lazy })
  if (source.tokens === 'with-kid') return openCerts
  if (source.tokens === 'without-kid') return () => openRealm(shared.lazy)
  return () => byPresenceOfKeyId(openCerts(), openRealm(true))
}

function byPresenceOfKeyId(certs: KeyLookup, realm: KeyLookup): KeyLookup {
  return {
    find: (keyId) => (keyId === undefined ? realm : certs).find(keyId),
    renew: () => realm.renew(),
    isReady: () => certs.isReady(),
    whenReady: () => certs.whenReady(),
    close: () => {
      certs.close()
      realm.close()
    },
  }
}

function remoteOptions(
  source: JwksSource | KeycloakSource,
): Pick<RemoteKeySetOptions, 'lazy' | 'timeoutMs' | 'refreshMs' | 'cooldownMs' | 'maxStaleMs'> {
  const { timeoutMs = 2000, refreshMs = 300_000, cooldownMs = 10_000, maxStaleMs = 86_400_000 } = source
  checkNumbers({ timeoutMs, refreshMs, cooldownMs, maxStaleMs }, { least: 1, most: maxTimerMs })
  // An AbortSignal takes whole milliseconds only.
  return { lazy: source.lazy ?? false, timeoutMs: Math.ceil(timeoutMs), refreshMs, cooldownMs, maxStaleMs }
}

function checkUrl(text: string, { allowHttp = false }: { readonly allowHttp?: boolean }): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || url.username !== '' || url.password !== '')
    throw new AuthError('bad_option', 'A key URL must be absolute and without credentials')
  const isLoopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && (isLoopback || allowHttp)))
    throw new AuthError('insecure_url', `Keys from ${url.host} need https, or allowHttp on a private network`)
  return url
}
