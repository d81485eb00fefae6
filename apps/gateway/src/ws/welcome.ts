import type { Welcome } from '@gw/protocol'
import type { ClientSession } from './client-session.ts'

export interface WelcomeFrom {
  readonly instanceId: string
  readonly heartbeatMs: number
}

/** The first message after a good token; `id` is that of the Authenticate. What a feature brought comes only with one. */
export function welcomeOf(session: ClientSession, server: WelcomeFrom, id?: string): Welcome {
  const { instanceId, heartbeatMs } = server
  const { userId, connectionId, features, identity } = session
  return {
    type: 'Welcome',
    userId,
    connectionId,
    ...(features.size > 0 && {
      instanceId,
      features: [...features],
      ...(features.has('heartbeat') && { heartbeatMs: Math.ceil(heartbeatMs) }),
      tokenExpiresAt: new Date(identity.expiresAtMs).toISOString(),
    }),
    ...(id !== undefined && { id }),
  }
}
