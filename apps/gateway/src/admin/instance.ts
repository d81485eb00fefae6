/** Carries out on this instance what an operator asked of it, here or through another instance. */
import type { ConnectionRegistry, Subscriptions } from '@gw/connections'
import type { Logger } from '@gw/observability/logger'
import type { ClientSession } from '../ws/client-session.ts'
import {
  type Command,
  type CommandOf,
  type ConnectionInfo,
  type InstanceReport,
  kickClose,
  maxPage,
  type ResultOf,
} from './command.ts'
import type { UserWatch } from './user-watch.ts'

export interface AdminInstanceOptions {
  readonly logger: Pick<Logger, 'setLevel' | 'level'>
  readonly report: () => Promise<InstanceReport>
  readonly registry: ConnectionRegistry
  readonly subscriptions: Subscriptions
  readonly sessions: {
    sessionOf(connectionId: string): ClientSession | undefined
    /** By serial, oldest first. */
    sessionsAfter(serial: number): Iterable<readonly [number, ClientSession]>
  }
  /** Empties the instance, or takes it back into service; returns at once. */
  readonly setDrained: (drained: boolean) => ResultOf<'drain'>
  readonly userWatch: UserWatch
}

/** Executes one command. */
export function createAdminInstance(options: AdminInstanceOptions): (command: Command) => Promise<unknown> {
  const { registry, subscriptions, sessions, logger } = options

  function infoOf({ connection, ...session }: ClientSession): ConnectionInfo {
    return {
      connectionId: session.connectionId,
      userId: session.userId,
      address: session.address,
      clientType: session.clientType,
      features: [...session.features],
      openedAtMs: connection.openedAtMs,
      tokenExpiresAtMs: session.identity.expiresAtMs,
      ...(connection.rttMs !== undefined && { rttMs: connection.rttMs }),
      bufferedBytes: connection.bufferedBytes,
      channels: [...subscriptions.getChannels(session.connectionId)].length,
    }
  }

  function connections(command: CommandOf<'connections'>): ResultOf<'connections'> {
    const { userId, channel, limit } = command
    const page: ConnectionInfo[] = []
    let last = 0
    for (const [serial, session] of sessions.sessionsAfter(command.after)) {
      if (userId !== undefined && session.userId !== userId) continue
      if (channel !== undefined && !subscriptions.has(session.connectionId, channel)) continue
      // One more than the page: there is a next one.
      if (page.length === limit) return { connections: page, next: last }
      page.push(infoOf(session))
      last = serial
    }
    return { connections: page }
  }

  /** The next names in order, without sorting all there are. */
  function channels({ after, limit, prefix }: CommandOf<'channels'>): ResultOf<'channels'> {
    const names: string[] = []
    for (const name of subscriptions.channels()) {
      if (name <= after || !name.startsWith(prefix)) continue
      const last = names.at(-1)
      if (names.length > limit && last !== undefined && name >= last) continue
      const at = names.findIndex((other) => other > name)
      names.splice(at === -1 ? names.length : at, 0, name)
      if (names.length > limit + 1) names.pop()
    }
    const page = names.slice(0, limit)
    return {
      channels: page.map((channel) => ({ channel, subscribers: subscriptions.subscriberCount(channel) })),
      ...(names.length > limit && { next: page.at(-1) ?? '' }),
    }
  }

  function subscribers({ channel }: CommandOf<'subscribers'>): ResultOf<'subscribers'> {
    const first: { connectionId: string; userId: string }[] = []
    for (const connectionId of subscriptions.getSubscribers(channel)) {
      if (first.length === maxPage) break
      first.push({ connectionId, userId: sessions.sessionOf(connectionId)?.userId ?? '' })
    }
    return { count: subscriptions.subscriberCount(channel), subscribers: first }
  }

  function kick({ userId, connectionId }: CommandOf<'kick'>): ResultOf<'kick'> {
    const one = connectionId === undefined ? undefined : registry.getConnection(connectionId)
    const all = [...(one ? [one] : []), ...(userId === undefined ? [] : registry.getByUser(userId))]
    for (const connection of all) connection.close(kickClose.code, kickClose.reason)
    return { closed: all.length }
  }

  return async (command) => {
    switch (command.type) {
      case 'report':
        return options.report()
      case 'connections':
        return connections(command)
      case 'channels':
        return channels(command)
      case 'subscribers':
        return subscribers(command)
      case 'kick':
        return kick(command)
      case 'drain':
        return options.setDrained(command.drain)
      case 'log_level':
        logger.setLevel(command.level)
        return { level: logger.level() }
      case 'watch_user':
        options.userWatch.watch(command)
        return { sockets: registry.getByUser(command.userId).length }
    }
  }
}
