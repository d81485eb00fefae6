/** TLS to backends: the files that the settings name, read once at the start. A new certificate needs a restart. */
import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { type Config, ConfigError } from './config.ts'

/** PEM texts; absent means the system's authorities, or no certificate of ours. */
export interface BackendTls {
  readonly ca?: Buffer
  readonly cert?: Buffer
  readonly key?: Buffer
  /** The name that backends' certificates must carry, where it isn't the host's. */
  readonly serverName?: string
}

type Settings = Pick<
  Config,
  'BACKEND_TLS_CA_FILE' | 'BACKEND_TLS_CERT_FILE' | 'BACKEND_TLS_KEY_FILE' | 'BACKEND_TLS_SERVER_NAME'
>

/** Reads the files. Throws {@link ConfigError} when one can't be read or is not what it should be. */
export function readBackendTls(config: Settings): BackendTls {
  const problems: string[] = []
  const read = (name: keyof Settings): Buffer | undefined => {
    const path = config[name]
    if (path === undefined) return undefined
    try {
      return readFileSync(path)
    } catch {
      problems.push(`${name}: cannot be read`)
      return undefined
    }
  }
  const [ca, cert, key] = [
    read('BACKEND_TLS_CA_FILE'),
    read('BACKEND_TLS_CERT_FILE'),
    read('BACKEND_TLS_KEY_FILE'),
  ]
  const files = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) }
  try {
    createSecureContext(files)
  } catch {
    problems.push('BACKEND_TLS_CA_FILE, BACKEND_TLS_CERT_FILE, BACKEND_TLS_KEY_FILE: not PEM, or no pair')
  }
  if (problems.length > 0) throw new ConfigError(problems)
  const serverName = config.BACKEND_TLS_SERVER_NAME
  return { ...files, ...(serverName !== undefined && { serverName }) }
}
