/**
 * Who mutes, unmutes or kicks through one instance is heard by all: their chats forget what they knew of that user. A word
 * that is lost (Redis is away) costs no more than the moment for which answers are cached.
 */
import type { Broker, Subscription } from '@gw/pubsub'
import { z } from 'zod'
import { GatewayError } from '../errors.ts'
import type { Backends } from '../grpc/backends.ts'
import type { CallOptions } from '../grpc/service-client.ts'
import { keepTrying } from '../ws/keep-trying.ts'

/** Of the fleet itself: no client and no backend can name it. */
export const muteChannel = 'mutes'

type Game = Backends['game']

export interface MuteEventsOptions {
  readonly broker: Pick<Broker, 'publish' | 'subscribe'>
  /** On every instance, the one that moderated too. */
  readonly onChange: (member: { readonly roomId: string; readonly userId: string }) => void
  readonly onError: (error: unknown) => void
}

export interface MuteEvents {
  /** Listens, or will as soon as Redis comes. Returns at once. */
  start(): void
  /** The same Game; its moderation is told to all instances. */
  watched(game: Game): Game
  close(): void
}

const change = z.object({ roomId: z.string(), userId: z.string() })

export function createMuteEvents({ broker, onChange, onError }: MuteEventsOptions): MuteEvents {
  let closed = false
  let subscription: Subscription | undefined

  async function subscribe(): Promise<void> {
    try {
      subscription = await broker.subscribe(muteChannel, {
        onMessage: ({ data }) => onChange(change.parse(JSON.parse(data.toString()))),
        onReset() {},
      })
    } catch (error) {
      throw new GatewayError('unavailable', undefined, { cause: error })
    }
    if (closed) subscription.close()
    else subscription.start()
  }

  function tell(roomId: string, userId: string): void {
    const said = { type: 'MemberModerated', roomId, userId }
    broker.publish(muteChannel, JSON.stringify(said)).catch(onError)
  }

  function telling<R extends { readonly tableId?: string; readonly targetUserId?: string }, A>(
    moderate: (request: R, options?: CallOptions) => Promise<A>,
  ) {
    return async (request: R, options?: CallOptions): Promise<A> => {
      try {
        return await moderate(request, options)
      } finally {
        // Also after a failure: it may have happened all the same.
        tell(request.tableId ?? '', request.targetUserId ?? '')
      }
    }
  }

  return {
    start() {
      void keepTrying({ attempt: subscribe, isWanted: () => !closed, onError })
    },
    watched: (game) => ({
      ...game,
      mutePlayer: telling(game.mutePlayer),
      unmutePlayer: telling(game.unmutePlayer),
      kickPlayer: telling(game.kickPlayer),
    }),
    close() {
      closed = true
      subscription?.close()
    },
  }
}
