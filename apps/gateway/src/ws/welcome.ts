import type { Welcome } from '@gw/protocol'
import type { ClientSession } from './client-session.ts'

/** The first message after a good token; `id` is that of the Authenticate. What a feature brought comes only with one. */
export function welcomeOf(session: ClientSession, instanceId: string, id?: string): Welcome {
  const { userId, connectionId, features, identity } = session
  return {
    type: 'Welcome',
    userId,
    connectionId,
    ...(features.size > 0 && {
      instanceId,
      features: [...features],
      tokenExpiresAt: new Date(identity.expiresAtMs).toISOString(),
    }),
    ...(id !== undefined && { id }),
  }
}
