/**
 * Keeps Game's spectator list in step with who watches: a user is a spectator from the first subscription of any socket
 * until the last one ends. Calls are not awaited by the caller; failures are reported, never shown.
 */
import { randomUUID } from 'node:crypto'
import type { Backends } from '../grpc/backends.ts'

export interface SpectatorsOptions {
  readonly game: Backends['game']
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
}

export function createSpectators({ game, note, stillWatches, onError }: SpectatorsOptions): Spectators {
  // One chain per user and table: a leave never overtakes the enter before it.
  const running = new Map<string, Promise<void>>()

  // Whose sockets on this instance watch which table.
  const watching = new Map<string, Set<string>>()
  const placeOf = (userId: string, tableId: string): string => `${userId}\n${tableId}`

  function after(userId: string, tableId: string, step: () => Promise<unknown>): void {
    const key = placeOf(userId, tableId)
    const previous = running.get(key) ?? Promise.resolve()
    const next = previous
      .then(step)
      .catch((error: unknown) => onError(error, { userId, tableId }))
      .then(() => {
        if (running.get(key) === next) running.delete(key)
      })
    running.set(key, next)
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
      after(userId, tableId, () => {
        void note(connectionId, tableId, true).catch((error: unknown) => onError(error, { userId, tableId }))
        return join(userId, tableId, connectionId)
      })
    },
    leave(userId, tableId, connectionId) {
      const place = placeOf(userId, tableId)
      const here = watching.get(place)
      if (here?.delete(connectionId) && here.size === 0) watching.delete(place)
      after(userId, tableId, async () => {
        void note(connectionId, tableId, false).catch((error: unknown) => onError(error, { userId, tableId }))
        if (await stillWatches(userId, tableId, connectionId)) return
        await game.leaveSpectator({
          tableId,
          userId,
          idempotencyKey: key(connectionId, 'LeaveSpectator', tableId),
        })
        // Came back elsewhere meanwhile: whichever of the two calls Game took last, the user is there.
        if (await stillWatches(userId, tableId, connectionId)) await join(userId, tableId, connectionId)
      })
    },
    async enterAgain(userId, tableId) {
      const [connectionId] = watching.get(placeOf(userId, tableId)) ?? []
      if (connectionId === undefined) return false
      let isIn = false
      after(userId, tableId, async () => {
        isIn = (await join(userId, tableId, connectionId)).ok
      })
      await running.get(placeOf(userId, tableId))
      return isIn
    },
    async settled(userId, tableId) {
      await running.get(placeOf(userId, tableId))
    },
  }
}
