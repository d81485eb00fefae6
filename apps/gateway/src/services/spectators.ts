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
  /** Resolves when the calls under way for the user at the table are done. */
  settled(userId: string, tableId: string): Promise<void>
}

export function createSpectators({ game, note, stillWatches, onError }: SpectatorsOptions): Spectators {
  // One chain per user and table: a leave never overtakes the enter before it.
  const running = new Map<string, Promise<void>>()

  function after(userId: string, tableId: string, step: () => Promise<unknown>): void {
    const key = `${userId}\n${tableId}`
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

  return {
    enter(userId, tableId, connectionId) {
      after(userId, tableId, () => {
        void note(connectionId, tableId, true).catch((error: unknown) => onError(error, { userId, tableId }))
        return game.joinSpectator({
          tableId,
          userId,
          idempotencyKey: key(connectionId, 'JoinSpectator', tableId),
        })
      })
    },
    leave(userId, tableId, connectionId) {
      after(userId, tableId, async () => {
        void note(connectionId, tableId, false).catch((error: unknown) => onError(error, { userId, tableId }))
        if (await stillWatches(userId, tableId, connectionId)) return
        await game.leaveSpectator({
          tableId,
          userId,
          idempotencyKey: key(connectionId, 'LeaveSpectator', tableId),
        })
      })
    },
    async settled(userId, tableId) {
      await running.get(`${userId}\n${tableId}`)
    },
  }
}
