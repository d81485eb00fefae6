/**
 * Keeps Game's spectator list in step with who watches: a user is a spectator from the first subscription of any socket
 * until the last one ends. Calls are not awaited by the caller; failures are reported, never shown. A leave that failed is
 * tried again, or the user would be a spectator for ever.
 *
 *   leave ▶ note it for all instances ▶ does another socket watch? ─ yes ▶ done
 *                                                                  └ no ▶ LeaveSpectator ▶ and now? ─ yes ▶ JoinSpectator
 */
import { randomUUID } from 'node:crypto'
import type { Backends } from '../grpc/backends.ts'
import { keepTrying } from '../ws/keep-trying.ts'

export interface SpectatorsOptions {
  readonly game: Pick<Backends['game'], 'joinSpectator' | 'leaveSpectator'>
  /** Tells all instances that a socket watches the table, or no longer does. */
  readonly note: (connectionId: string, tableId: string, watches: boolean) => Promise<unknown>
  /** Whether the user has a socket on any instance that watches the table, but for the one that has just left. */
  readonly stillWatches: (userId: string, tableId: string, left: string) => Promise<boolean>
  readonly onError: (error: unknown, context: { readonly userId: string; readonly tableId: string }) => void
}

export interface Spectators {
  enter(userId: string, tableId: string, connectionId: string): void
  leave(userId: string, tableId: string, connectionId: string): void
  /**
   * For whom Game does not know, though a socket here watches the table: the leave of an instance that stopped may have
   * overtaken the user's coming. Game is told again; true when it says yes.
   */
  enterAgain(userId: string, tableId: string): Promise<boolean>
  /** Resolves when the calls under way for the user at the table are done. */
  settled(userId: string, tableId: string): Promise<void>
  /** Resolves when no call is under way. */
  allSettled(): Promise<void>
}

/** Leaves that are tried again at once, as while Game is away; beyond, each is tried once. */
const mostLeaving = 10_000

export function createSpectators({ game, note, stillWatches, onError }: SpectatorsOptions): Spectators {
  // One chain per user and table: a leave never overtakes the enter before it.
  const running = new Map<string, Promise<void>>()

  // Whose sockets on this instance watch which table.
  const watching = new Map<string, Set<string>>()
  const placeOf = (userId: string, tableId: string): string => `${userId}\n${tableId}`
  /** Leaves that are tried, of a socket and a table: one at a time. */
  const leaving = new Set<string>()

  /** Resolves or rejects as the step does. */
  function after(userId: string, tableId: string, step: () => Promise<unknown>): Promise<unknown> {
    const key = placeOf(userId, tableId)
    const result = (running.get(key) ?? Promise.resolve()).then(step)
    const next = result
      .catch(() => {})
      .then(() => {
        if (running.get(key) === next) running.delete(key)
      })
    running.set(key, next)
    return result
  }

  // A fresh key each time: with a fixed one a second subscribe within the backend's idempotency window did nothing.
  const key = (connectionId: string, call: string, tableId: string): string =>
    `ws:${connectionId}:${call}:${tableId}:${randomUUID()}`

  function join(userId: string, tableId: string, connectionId: string): Promise<{ readonly ok: boolean }> {
    return game.joinSpectator({
      tableId,
      userId,
      idempotencyKey: key(connectionId, 'JoinSpectator', tableId),
    })
  }

  return {
    enter(userId, tableId, connectionId) {
      const place = placeOf(userId, tableId)
      watching.set(place, (watching.get(place) ?? new Set()).add(connectionId))
      const report = (error: unknown): void => onError(error, { userId, tableId })
      after(userId, tableId, () => {
        void note(connectionId, tableId, true).catch(report)
        return join(userId, tableId, connectionId)
      }).catch(report)
    },
    leave(userId, tableId, connectionId) {
      const place = placeOf(userId, tableId)
      const here = watching.get(place)
      if (here?.delete(connectionId) && here.size === 0) watching.delete(place)
      const departure = `${connectionId}\n${place}`
      if (leaving.has(departure)) return
      leaving.add(departure)
      let tries = 0
      let mayBeOut = false
      async function step(): Promise<void> {
        // Before the question: of sockets that go at once, on whatever instances, the last one finds nobody.
        await note(connectionId, tableId, false)
        if (await stillWatches(userId, tableId, connectionId)) {
          // Came back elsewhere during a leave that failed: Game may have taken it.
          if (mayBeOut) await join(userId, tableId, connectionId)
          return
        }
        mayBeOut = true
        await game.leaveSpectator({
          tableId,
          userId,
          idempotencyKey: key(connectionId, 'LeaveSpectator', tableId),
        })
        // Came back elsewhere meanwhile: whichever of the two calls Game took last, the user is there.
        if (await stillWatches(userId, tableId, connectionId)) await join(userId, tableId, connectionId)
      }
      void keepTrying({
        attempt: () => after(userId, tableId, step),
        // Whoever is back here leaves again.
        isWanted: () => tries++ === 0 || (leaving.size <= mostLeaving && !watching.has(place)),
        onError: (error) => onError(error, { userId, tableId }),
      }).then(() => leaving.delete(departure))
    },
    async enterAgain(userId, tableId) {
      const [connectionId] = watching.get(placeOf(userId, tableId)) ?? []
      if (connectionId === undefined) return false
      let isIn = false
      await after(userId, tableId, async () => {
        isIn = (await join(userId, tableId, connectionId)).ok
      }).catch((error: unknown) => onError(error, { userId, tableId }))
      return isIn
    },
    async settled(userId, tableId) {
      await running.get(placeOf(userId, tableId))
    },
    async allSettled() {
      while (running.size > 0) await Promise.all(running.values())
    },
  }
}
