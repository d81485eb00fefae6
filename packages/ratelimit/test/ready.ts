import { once } from 'node:events'
import type { EventEmitter } from 'node:events'

/** Waits for a client of ioredis; a lost connection is then the test's matter, not an unhandled error. */
export async function ready<Client extends EventEmitter & { readonly status: string }>(
  client: Client,
): Promise<Client> {
  client.on('error', () => {})
  if (client.status !== 'ready') await once(client, 'ready')
  return client
}
