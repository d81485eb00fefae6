import type { Backends } from '../../grpc/backends.ts'
import type { DailyBonus } from '../../services/daily-bonus.ts'
import type { MountableRoute } from '../route.ts'
import { auditRoutes } from './audit.ts'
import { moderationRoutes } from './moderation.ts'
import { profileRoutes } from './profile.ts'
import { pushRoutes } from './push.ts'
import { tableRoutes } from './tables.ts'

export interface RoutesOptions {
  readonly backends: Pick<Backends, 'game' | 'player' | 'event' | 'notify'>
  readonly dailyBonus: DailyBonus
  readonly vapidPublicKey: string | undefined
}

/** Every route that the gateway answers itself, in the order of the API document. */
export function createRoutes({
  backends,
  dailyBonus,
  vapidPublicKey,
}: RoutesOptions): readonly MountableRoute[] {
  return [
    ...tableRoutes({ game: backends.game, dailyBonus }),
    ...moderationRoutes(backends.game),
    ...profileRoutes(backends.player),
    ...auditRoutes(backends),
    ...pushRoutes({ notify: backends.notify, vapidPublicKey }),
  ]
}
