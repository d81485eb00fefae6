/** A Keycloak as far as a gateway asks one: it tells the public key of its tokens, as slowly as it is told to. */
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { signToken } from '@gw/testing'

export interface IdentityProvider {
  /** A gateway's `KEYCLOAK_URL`. */
  readonly url: string
  /** How often the keys were fetched. */
  readonly fetches: number
  /** A token of the user for an hour, which a gateway can only verify with the key from here. */
  tokenOf(user: string): string
  close(): void
}

const keyId = 'chaos'

/** Starts one whose every answer takes `delayMs`. */
export async function startIdentityProvider(delayMs: number): Promise<IdentityProvider> {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const keys = [{ ...publicKey.export({ format: 'jwk' }), kid: keyId, use: 'sig', alg: 'RS256' }]
  let fetches = 0
  const server = createServer((_request, response) => {
    fetches++
    void pause(delayMs).then(() =>
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys })),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const url = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`
  const pem = privateKey.export({ format: 'pem', type: 'pkcs8' })
  return {
    url,
    get fetches() {
      return fetches
    },
    tokenOf: (user) =>
      signToken({ sub: user, preferred_username: user, iss: `${url}/realms/poker-local` }, pem, {
        algorithm: 'RS256',
        keyid: keyId,
        expiresIn: '1h',
      }),
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}
