/**
 * For today's client, which knows no code and turns red at any `Error`: a subscription that can't be answered while a part is
 * down is answered when that part is back, as the lobby's is. Until then the client is told nothing.
 */
import { GatewayError } from '../errors.ts'
import type { ClientSession } from './client-session.ts'
import { keepTrying } from './keep-trying.ts'

/** A failure that may pass by itself: a part is away, or too slow. */
export function isTransient(error: unknown): boolean {
  return error instanceof GatewayError && (error.code === 'unavailable' || error.code === 'timeout')
}

/** Whether the client waits in silence; one that asked for a feature gets the `Error`, and asks again. */
export function waitsFor(error: unknown, { features }: Pick<ClientSession, 'features'>): boolean {
  return features.size === 0 && isTransient(error)
}

export interface LateAnswer {
  /** Why there was no answer at once. */
  readonly error: unknown
  /** Answers, unless it is no longer wanted when it could; rejects when it can't yet. */
  readonly attempt: (isWanted: () => boolean) => Promise<unknown>
}

export interface LateAnswers {
  /** Subscribes, ending what was tried for the channel before; where the client waits in silence, it is tried again. */
  subscribe(
    session: ClientSession,
    channel: string,
    attempt: (isWanted?: () => boolean) => Promise<unknown>,
  ): Promise<void>
  /** Tries until it answers, the socket closes, or the answer to a channel is not wanted any more. */
  begin(session: ClientSession, channel: string, answer: LateAnswer): void
  /** The socket left the channel, or asked anew. */
  end(session: ClientSession, channel: string): void
}

/** `onError` hears of the first failure of each, and of one that no further attempt could mend. */
export function createLateAnswers(onError: (error: unknown, session: ClientSession) => void): LateAnswers {
  const wanted = new Map<string, LateAnswer>()
  const keyOf = ({ connectionId }: ClientSession, channel: string): string => `${connectionId} ${channel}`

  function begin(session: ClientSession, channel: string, answer: LateAnswer): void {
    const key = keyOf(session, channel)
    wanted.set(key, answer)
    const isWanted = (): boolean => session.connection.state === 'open' && wanted.get(key) === answer
    let isFirst = true
    async function attempt(): Promise<void> {
      if (!isFirst) return void (await answer.attempt(isWanted))
      // Made already.
      isFirst = false
      throw answer.error
    }
    void keepTrying({ attempt, isWanted, onError: (error) => onError(error, session) }).then(() => {
      if (wanted.get(key) === answer) wanted.delete(key)
    })
  }

  function end(session: ClientSession, channel: string): void {
    wanted.delete(keyOf(session, channel))
  }

  return {
    begin,
    end,
    async subscribe(session, channel, attempt) {
      end(session, channel)
      try {
        await attempt()
      } catch (error) {
        if (!waitsFor(error, session)) throw error
        begin(session, channel, { error, attempt })
      }
    },
  }
}
