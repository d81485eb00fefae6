import { createPublicKey, type KeyObject } from 'node:crypto'
import jsonwebtoken from 'jsonwebtoken'

/** The subject of a valid `Authorization` header, else null. */
export type TokenCheck = (authorization: string | undefined) => string | null

/** What tokens are checked with: an RS256 public key (PEM, or its bare base64) wins over an HS256 secret. */
export interface TokenKeys {
  readonly hs256Secret?: string | undefined
  readonly publicKey?: string | undefined
}

/** Balance's own check of bearer tokens: one algorithm, `exp` respected, `sub` not blank. Throws when a key is unusable. */
export function createTokenCheck(keys: TokenKeys): TokenCheck {
  const key = keys.publicKey ? parsePublicKey(keys.publicKey) : keys.hs256Secret
  if (!key) throw new RangeError('Balance needs an HS256 secret or a public key')
  const algorithms: jsonwebtoken.Algorithm[] = [keys.publicKey ? 'RS256' : 'HS256']
  return (authorization) => {
    const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
    if (!token) return null
    try {
      const claims = jsonwebtoken.verify(token, key, { algorithms })
      const subject = typeof claims === 'object' ? claims.sub : undefined
      return typeof subject === 'string' && subject.trim() !== '' ? subject : null
    } catch {
      return null
    }
  }
}

/** The key object of a PEM or of its base64 body alone. Throws when it is neither. */
export function parsePublicKey(text: string): KeyObject {
  const isPem = text.includes('-----BEGIN')
  return isPem
    ? createPublicKey(text.replaceAll(String.raw`\n`, '\n'))
    : createPublicKey({ key: Buffer.from(text, 'base64'), format: 'der', type: 'spki' })
}
