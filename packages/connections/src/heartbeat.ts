import type { Connection } from './connection.ts'

export interface HeartbeatOptions {
  /** Time between two pings of a connection, in ms; one that hasn't answered by the next is dead. Default 12 000. */
  readonly intervalMs?: number
  /** Runs `step` every `ms`; returns the way to stop. Default: one timer that doesn't keep the process alive. */
  readonly schedule?: (step: () => void, ms: number) => () => void
  /** 0 to 1, for the phase of a connection. Default `Math.random`. */
  readonly random?: () => number
  /** A connection that didn't answer; it is terminated. */
  readonly onDead?: (connection: HeartbeatTarget) => void
}

/** What the heartbeat uses of a connection. */
export type HeartbeatTarget = Pick<Connection, 'id' | 'isAlive' | 'ping' | 'terminate'>

/** Pings all connections by one timer; dead ones are noticed within two intervals. */
export interface Heartbeat {
  add(connection: HeartbeatTarget): void
  remove(connection: HeartbeatTarget): void
  readonly size: number
  close(): void
}

const slots = 64

function every(step: () => void, ms: number): () => void {
  const timer = setInterval(step, ms).unref()
  return () => clearInterval(timer)
}

/**
 *   wheel of 64 slots: [ A D ][ ][ B ][ C ] …     one slot each intervalMs / 64: its connections are pinged,
 *                        ▲ random phase           those that left the last ping unanswered are ended
 */
export function createHeartbeat(options: HeartbeatOptions = {}): Heartbeat {
  const { intervalMs = 12_000, schedule = every, random = Math.random } = options
  const wheel = Array.from({ length: slots }, () => new Set<HeartbeatTarget>())
  const slotOf = new Map<string, Set<HeartbeatTarget>>()
  let hand = 0
  const stop = schedule(() => {
    hand = (hand + 1) % slots
    for (const connection of wheel[hand] ?? []) {
      if (connection.isAlive) connection.ping()
      else {
        options.onDead?.(connection)
        connection.terminate()
      }
    }
  }, intervalMs / slots)

  return {
    add(connection) {
      const slot = wheel[Math.floor(random() * slots) % slots]
      if (!slot || slotOf.has(connection.id)) return
      slot.add(connection)
      slotOf.set(connection.id, slot)
    },
    remove(connection) {
      slotOf.get(connection.id)?.delete(connection)
      slotOf.delete(connection.id)
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
