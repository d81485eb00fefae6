/** The admin side of one instance, wired: fleet questions, their execution here, the API and its port. */
import type { TokenVerifier } from '@gw/auth'
import type { Logger } from '@gw/observability/logger'
import type { Config } from '../config.ts'
import type { Observer } from '../observe.ts'
import type { Whereabouts } from '../services/whereabouts.ts'
import type { ClientSession } from '../ws/client-session.ts'
import type { SessionEvent } from '../ws/session.ts'
import { createAdminServer } from './admin-server.ts'
import { type AdminInstanceOptions, createAdminInstance } from './instance.ts'
import { createInstanceReport, type InstanceReportOptions } from './instance-report.ts'
import { createFleet } from './fleet.ts'
import { adminRoutes } from './routes.ts'
import { createTail } from './tail.ts'
import { createUserWatch } from './user-watch.ts'

export interface AdminOptions
  extends InstanceReportOptions, Pick<AdminInstanceOptions, 'sessions' | 'setDrained'> {
  readonly config: Pick<Config, 'ADMIN_HOST' | 'ADMIN_PORT'>
  readonly token: string
  readonly verifier: TokenVerifier
  readonly whereabouts: Pick<Whereabouts, 'connections' | 'sessions'>
  readonly observer: Pick<Observer, 'onAuthFailure' | 'onFailure'>
  /** Audit lines; not the logger whose level can be changed here. */
  readonly audit: Logger
}

export interface Admin {
  /** Resolves to the port. */
  listen(): Promise<number>
  onSession(event: SessionEvent): void
  onClosed(session: ClientSession, code: number): void
  close(): Promise<void>
}

export function createAdmin(options: AdminOptions): Admin {
  const { config, token, instanceId, broker, whereabouts, observer, verifier, audit } = options
  const userWatch = createUserWatch({ instanceId, broker })
  const execute = createAdminInstance({ ...options, report: createInstanceReport(options), userWatch })
  const fleet = createFleet({
    instanceId,
    broker,
    execute,
    liveInstances: () => whereabouts.connections.liveInstances(),
    onError: (stage, error) => observer.onFailure('fleet_failed', error, { stage }),
  })
  const tail = createTail({ broker, fleet })
  const server = createAdminServer({
    host: config.ADMIN_HOST,
    port: config.ADMIN_PORT,
    token,
    routes: adminRoutes({
      instanceId,
      fleet,
      sessions: whereabouts.sessions,
      broker,
      revoke: (subject) => verifier.revoke({ subject }),
      tail,
      audit,
    }),
    onRefused(address) {
      observer.onAuthFailure('admin_token')
      audit.info('admin_refused', { address })
    },
    onError: (error) => observer.onFailure('admin_failed', error),
  })
  return {
    async listen() {
      const port = await server.listen()
      void fleet.start()
      return port
    },
    onSession: (event) => userWatch.onSession(event),
    onClosed: (session, code) => userWatch.onClosed(session, code),
    async close() {
      tail.close()
      fleet.close()
      await server.close()
    },
  }
}
