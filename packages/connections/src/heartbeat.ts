import { maxTimerMs } from './check-numbers.ts'
import type { Connection } from './connection.ts'

export interface HeartbeatOptions {
  /** Time between two pings of a connection, in ms. Default 25 000. */
  readonly intervalMs?: number
  /** Time to answer, in ms, less than `intervalMs`. Default a fifth of it: dead peers are gone within 30 s. */
  readonly timeoutMs?: number
  /** Runs `step` every `ms`; returns the way to stop. Default: one timer that doesn't keep the process alive. */
  readonly schedule?: (step: () => void, ms: number) => () => void
  /** 0 to 1, for the phase of a connection. Default `Math.random`. */
  readonly random?: () => number
  /** A connection that didn't answer; it is terminated right after. */
  readonly onDead?: (connection: HeartbeatTarget) => void
}

/** What the heartbeat uses of a connection. */
export type HeartbeatTarget = Pick<Connection, 'id' | 'isAlive' | 'ping' | 'terminate'>

/** Pings all connections by one timer. */
export interface Heartbeat {
  /** Again for the same id: nothing happens. */
  add(connection: HeartbeatTarget): void
  remove(connection: Pick<HeartbeatTarget, 'id'>): void
  readonly size: number
  close(): void
}

const slots = 100

function every(step: () => void, ms: number): () => void {
  const timer = setInterval(step, ms).unref()
  return () => clearInterval(timer)
}

/**
 * A timer wheel with two hands: connections sit at a random place of it, are pinged as the first tick passes and judged
 * as the second one does, `timeoutMs` later. A turn takes `intervalMs`.
 *
 *   [ A D ][   ][ B ][   ][ C ] …
 *      ▲ judged         ▲ pinged   ─▶
 *
 * Throws a TypeError for times that make no sense.
 */
export function createHeartbeat(options: HeartbeatOptions = {}): Heartbeat {
  const { intervalMs = 25_000, schedule = every, random = Math.random } = options
  const { timeoutMs = intervalMs / 5 } = options
  if (!(timeoutMs > 0 && timeoutMs < intervalMs && intervalMs <= maxTimerMs))
    throw new TypeError(`A heartbeat needs 0 < timeoutMs < intervalMs <= ${maxTimerMs}`)
  const wheel = Array.from({ length: slots }, () => new Set<HeartbeatTarget>())
  const slotOf = new Map<string, { readonly slot: Set<HeartbeatTarget>; readonly target: HeartbeatTarget }>()
  const behind = Math.min(slots - 1, Math.max(1, Math.ceil((timeoutMs / intervalMs) * slots)))
  let tick = 0

  const stop = schedule(() => {
    tick = (tick + 1) % slots
    // A late timer runs both steps late, so time that the process itself lost is never taken from the peers.
    for (const connection of wheel[(tick + slots - behind) % slots] ?? [])
      if (!connection.isAlive) {
        options.onDead?.(connection)
        connection.terminate()
      }
    for (const connection of wheel[tick] ?? []) connection.ping()
  }, intervalMs / slots)

  return {
    add(target) {
      const slot = wheel[Math.floor(random() * slots) % slots]
      if (slot === undefined || slotOf.has(target.id)) return
      slot.add(target)
      slotOf.set(target.id, { slot, target })
    },
    remove({ id }) {
      const place = slotOf.get(id)
      place?.slot.delete(place.target)
      slotOf.delete(id)
    },
    get size() {
      return slotOf.size
    },
    close() {
      stop()
      slotOf.clear()
      for (const slot of wheel) slot.clear()
    },
  }
}
