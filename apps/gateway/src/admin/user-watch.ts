/**
 * What the sockets of a watched user do, as short facts on the channel of the tail that asked: the kind of each message
 * and how it ended, never what was in it. Costs one map look-up per message while nobody is watched.
 */
import type { Broker } from '@gw/pubsub'
import type { ClientSession } from '../ws/client-session.ts'
import type { SessionEvent } from '../ws/session.ts'
import type { CommandOf } from './command.ts'
import { fleetPrefix } from './fleet.ts'

export const tailChannel = (tailId: string): string => `${fleetPrefix}tail:${tailId}`

/** One thing that a socket did. */
export interface UserFact {
  readonly atMs: number
  readonly instanceId: string
  readonly connectionId: string
  readonly kind: 'opened' | 'message' | 'closed'
  readonly type?: string
  readonly result?: string
  readonly ms?: number
  readonly code?: number
  /** Facts left out before this one, because there were too many. */
  readonly leftOut?: number
}

export interface UserWatch {
  /** Until `forMs` from now; again before that prolongs it. */
  watch(command: CommandOf<'watch_user'>): void
  onSession(event: SessionEvent): void
  onClosed(session: ClientSession, code: number): void
}

interface Watching {
  readonly tailId: string
  untilMs: number
  /** Facts that may still go out in the running second. */
  left: number
  secondEndsAtMs: number
  leftOut: number
}

const maxPerSecond = 50
const maxWatched = 32

export interface UserWatchOptions {
  readonly instanceId: string
  readonly broker: Pick<Broker, 'publish'>
  readonly now?: () => number
}

export function createUserWatch({ instanceId, broker, now = Date.now }: UserWatchOptions): UserWatch {
  const byUser = new Map<string, Map<string, Watching>>()

  function forget(nowMs: number): void {
    for (const [userId, tails] of byUser) {
      for (const [tailId, { untilMs }] of tails) if (untilMs <= nowMs) tails.delete(tailId)
      if (tails.size === 0) byUser.delete(userId)
    }
  }

  function tell(watching: Watching, fact: UserFact): void {
    const { atMs } = fact
    if (atMs >= watching.secondEndsAtMs) {
      watching.secondEndsAtMs = atMs + 1000
      watching.left = maxPerSecond
    }
    if (watching.left === 0) {
      watching.leftOut++
      return
    }
    watching.left--
    const { leftOut } = watching
    watching.leftOut = 0
    const data = JSON.stringify(leftOut > 0 ? { ...fact, leftOut } : fact)
    // Whoever watches while Redis is away sees a gap; nothing waits for it.
    broker.publish(tailChannel(watching.tailId), data).catch(() => {})
  }

  function see(
    session: ClientSession,
    fact: Pick<UserFact, 'kind' | 'type' | 'result' | 'ms' | 'code'>,
  ): void {
    const tails = byUser.get(session.userId)
    if (!tails) return
    const atMs = now()
    forget(atMs)
    for (const watching of tails.values())
      tell(watching, { atMs, instanceId, connectionId: session.connectionId, ...fact })
  }

  return {
    watch({ userId, tailId, forMs }) {
      const nowMs = now()
      forget(nowMs)
      const tails = byUser.get(userId) ?? new Map<string, Watching>()
      const known = tails.get(tailId)
      if (known) known.untilMs = nowMs + forMs
      else if (tails.size < maxWatched)
        tails.set(tailId, {
          tailId,
          untilMs: nowMs + forMs,
          left: maxPerSecond,
          secondEndsAtMs: 0,
          leftOut: 0,
        })
      if (byUser.size < maxWatched || byUser.has(userId)) byUser.set(userId, tails)
    },
    onSession(event) {
      if (byUser.size === 0) return
      if (event.type === 'authenticated') see(event.session, { kind: 'opened' })
      else if (event.type === 'message')
        see(event.session, {
          kind: 'message',
          type: event.messageType,
          result: event.result,
          ms: Math.round(event.seconds * 1000),
        })
    },
    onClosed(session, code) {
      if (byUser.size > 0) see(session, { kind: 'closed', code })
    },
  }
}
