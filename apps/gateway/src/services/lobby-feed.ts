/**
 * The lobby's publications on their way into the channel: only changes of content, and at most one for each slot of time,
 * over all instances. What is published while a slot is taken waits, the newest in place of older ones.
 *
 *   A B B C ──▶ slot 1: A ── slot 2: C ── slot 3: nothing new
 *
 * The slot's name is the idempotency key: of all instances that hear the same publications, one fills it. What could not be
 * published is tried again by whoever heard it, and gives way when others have published meanwhile: theirs is newer.
 */
import { createHash } from 'node:crypto'
import { lobbyChannel } from '@gw/protocol'
import type { Broker, Position, PublishResult, Subscription } from '@gw/pubsub'

export interface LobbyFeedOptions {
  readonly broker: Pick<Broker, 'publish' | 'read' | 'subscribe'>
  /** Default 300. */
  readonly slotMs?: number
}

export interface LobbyFeed {
  /**
   * Resolves when this content, or a newer one in its place, is in the channel. Rejects as the broker's publish does. `heardAtMs`,
   * of what is tried again when it failed, tells one hearing from another.
   */
  publish(data: Buffer | string, heardAtMs?: number): Promise<PublishResult>
  /** What waits is given up. Idempotent. */
  close(): void
}

interface Waiting {
  data: Buffer | string
  heardAtMs: number | undefined
  readonly done: PromiseWithResolvers<PublishResult>
}

const digest = (data: Buffer | string): string => createHash('sha256').update(data).digest('base64url')

export function createLobbyFeed({ broker, slotMs = 300 }: LobbyFeedOptions): LobbyFeed {
  /** What the channel held last, by this instance's view. */
  let last: { readonly hash: string; readonly result: PublishResult } | undefined
  /** What could not be published, and where the channel stood when it was heard. */
  let failed: { readonly heardAtMs: number; readonly at: Position } | undefined
  let waiting: Waiting | undefined
  let timer: NodeJS.Timeout | undefined
  let subscription: Promise<Subscription | undefined> | undefined
  let closed = false

  /** Others publish too: only the channel knows what it holds. */
  async function follow(): Promise<Subscription | undefined> {
    try {
      const joined = await broker.subscribe(lobbyChannel, {
        onMessage({ data, epoch, seq }) {
          last = { hash: digest(data), result: { epoch, seq, duplicate: false } }
        },
        onReset() {
          last = undefined
        },
      })
      if (closed) joined.close()
      else joined.start()
      return joined
    } catch {
      // Without it some content may be published twice; the next publication tries again.
      subscription = undefined
      return undefined
    }
  }

  /** Where the channel is now, if others have published since what was heard then failed. */
  async function overtakenAt(heardAtMs: number | undefined): Promise<Position | undefined> {
    if (heardAtMs === undefined || failed?.heardAtMs !== heardAtMs) return undefined
    const { at } = failed
    const { epoch, seq } = await broker.read(lobbyChannel, { limit: 1 })
    const isSame = epoch === at.epoch && seq === at.seq
    return seq === 0 || isSame ? undefined : { epoch, seq }
  }

  async function fill(): Promise<void> {
    timer = undefined
    const current = waiting
    if (current === undefined || closed) return
    const { data, heardAtMs, done } = current
    const hash = digest(data)
    try {
      if (last?.hash === hash) {
        waiting = undefined
        done.resolve({ ...last.result, duplicate: true })
        return
      }
      const overtaken = await overtakenAt(heardAtMs)
      if (overtaken !== undefined) {
        if (current.data !== data) return schedule()
        waiting = undefined
        done.resolve({ ...overtaken, duplicate: true })
        return
      }
      const slot = Math.floor(Date.now() / slotMs)
      const result = await broker.publish(lobbyChannel, data, { idempotencyKey: `slot:${slotMs}:${slot}` })
      if (!result.duplicate) last = { hash, result }
      if (result.duplicate || current.data !== data) return schedule()
      waiting = undefined
      done.resolve(result)
    } catch (error) {
      waiting = undefined
      if (heardAtMs !== undefined && failed?.heardAtMs !== heardAtMs && last !== undefined)
        failed = { heardAtMs, at: last.result }
      done.reject(error)
    }
  }

  /** At the beginning of the next slot. */
  function schedule(): void {
    timer ??= setTimeout(() => void fill(), slotMs - (Date.now() % slotMs)).unref()
  }

  return {
    publish(data, heardAtMs) {
      subscription ??= follow()
      if (waiting) Object.assign(waiting, { data, heardAtMs })
      else {
        waiting = { data, heardAtMs, done: Promise.withResolvers() }
        void subscription.then(() => fill())
      }
      return waiting.done.promise
    },
    close() {
      closed = true
      clearTimeout(timer)
      waiting?.done.reject(new Error('The feed was closed'))
      waiting = undefined
      void subscription?.then((joined) => joined?.close())
    },
  }
}
