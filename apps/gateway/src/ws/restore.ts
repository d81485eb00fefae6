/**
 * What comes back with a connection: the channels that the client names in `resume`, or the lobby alone.
 *
 *   Welcome ▶ channels, some at a time: authorise, join, fetch ▶ Resumed ▶ missed messages or a snapshot, channel by channel ▶ live
 */
import {
  type ChannelKind,
  type ErrorCode,
  lobbyChannel,
  parseChannel,
  type Position,
  type ResumedChannel,
} from '@gw/protocol'
import { bulkhead } from 'cockatiel'
import type { ClientSession } from './client-session.ts'
import { wireCodeOf } from './error-replies.ts'

/** A channel that is joined and waits. */
export interface Restored {
  readonly result: ResumedChannel
  /** Sends the snapshot where continuity was lost, then lets messages flow. */
  readonly follow: () => void
}

/** Joins one channel where the client left it, as a subscribe would: rejects when the user may not, or it can't be. */
export type ResumeChannel = (id: string, since: Position, session: ClientSession) => Promise<Restored>

/** Never rejects: what can't be restored is said in `Resumed`. */
export type Restore = (
  resume: Readonly<Record<string, Position>> | undefined,
  session: ClientSession,
) => Promise<void>

export interface RestoreOptions {
  readonly resume: {
    readonly table: ResumeChannel
    readonly chat: ResumeChannel
    readonly lobby: ResumeChannel
    readonly presence: ResumeChannel
    /** `all`, and the user's own channel, by its whole name. */
    readonly standing: ResumeChannel
  }
  /** Rejects when the user may not have the channel. Asked of all channels before the first is joined. */
  readonly authorise: (
    channel: { readonly kind: ChannelKind; readonly id: string },
    session: ClientSession,
  ) => Promise<void>
  /** Sends the lobby to a connection that starts without it; not awaited, failures are its own to report. */
  readonly startLobby: (session: ClientSession) => void
  /** Joins what every connection has and `resume` did not bring back, from where the client stated; not awaited either. */
  readonly startStanding: (session: ClientSession, resume: Readonly<Record<string, Position>>) => void
}

/** Of one socket: each asks Game up to three times, and the others' calls have to fit in beside it. */
const channelsAtOnce = 8

function refused(error: ErrorCode): Restored {
  return { result: { recovered: false, error }, follow() {} }
}

const isTable = (channel: string): boolean => parseChannel(channel)?.kind === 'table'

export function createRestore({
  resume: resumers,
  authorise,
  startLobby,
  startStanding,
}: RestoreOptions): Restore {
  async function refusalOf(channel: string, session: ClientSession): Promise<Restored | undefined> {
    const named = parseChannel(channel)
    if (!named) return refused('not_found')
    if (named.kind === 'user' && named.id !== session.userId) return refused('forbidden')
    try {
      await authorise(named, session)
      return undefined
    } catch (error) {
      return refused(wireCodeOf(error))
    }
  }

  async function restoreOne(channel: string, since: Position, session: ClientSession): Promise<Restored> {
    const named = parseChannel(channel)
    try {
      switch (named?.kind) {
        case 'table':
        case 'chat':
        case 'lobby':
        case 'presence':
          return await resumers[named.kind](named.id, since, session)
        case 'user':
        case 'all':
          return await resumers.standing(channel, since, session)
        case undefined:
          return refused('not_found')
      }
    } catch (error) {
      return refused(wireCodeOf(error))
    }
  }

  return async (resume, session) => {
    if (resume === undefined) {
      startLobby(session)
      return startStanding(session, {})
    }
    // Tables first: who comes back to one is a member of its chat again, and the chat's question waits for that.
    const named = Object.entries(resume).toSorted(([a], [b]) => Number(isTable(b)) - Number(isTable(a)))
    const some = bulkhead(channelsAtOnce, named.length)
    const refusals = await Promise.all(
      named.map(([channel]) => some.execute(() => refusalOf(channel, session))),
    )
    const restored = await Promise.all(
      named.map(([channel, since], at) =>
        some.execute(
          async () => [channel, refusals[at] ?? (await restoreOne(channel, since, session))] as const,
        ),
      ),
    )
    const channels = Object.fromEntries(restored.map(([channel, { result }]) => [channel, result]))
    session.send({ type: 'Resumed', channels })
    for (const [, { follow }] of restored) follow()
    if (!Object.hasOwn(resume, lobbyChannel)) startLobby(session)
    startStanding(session, resume)
  }
}
