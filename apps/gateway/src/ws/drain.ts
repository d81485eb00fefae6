/**
 * Sends everyone away without sending all at once to the other instances:
 *
 *   batch ▶ Reconnect, close 1012 ── pause ── batch ▶ … within `windowMs`; each client waits a random time more
 */
import { setTimeout as pause } from 'node:timers/promises'
import { type Connection, encodeFrame, type Frame, type SendResult } from '@gw/connections'
import { closeCodes, type Reconnect } from '@gw/protocol'

export interface DrainOptions {
  readonly connections: readonly Connection[]
  /** From the first close to the last, at most. Few sockets take less: 5 ms for each. */
  readonly windowMs: number
  /** Whether the client asked for feature `drain`. */
  readonly asked: (connection: Connection) => boolean
  /** What became of each hint. */
  readonly onSent: (frame: Frame, result: SendResult) => void
  /** In [0, 1). Default `Math.random`. */
  readonly random?: () => number
}

const msPerSocket = 5
const stepMs = 50
/** A client waits at most so long before it comes back, whatever the window. */
const maxAfterMs = 2000

/** Resolves when every connection has been told. */
export async function drainInBatches(options: DrainOptions): Promise<void> {
  const { connections, windowMs, asked, onSent, random = Math.random } = options
  const spreadMs = Math.min(windowMs, connections.length * msPerSocket)
  const steps = Math.max(1, Math.floor(spreadMs / stepMs))
  const batches: Connection[][] = Array.from({ length: steps }, () => [])
  // A random batch for each: old and new connections, and those of one user, do not move together.
  for (const connection of connections) batches[Math.floor(random() * steps)]?.push(connection)
  const { code, reason } = closeCodes.restart
  for (const [at, batch] of batches.entries()) {
    if (at > 0) await pause(stepMs)
    for (const connection of batch) {
      if (asked(connection)) {
        const afterMs = Math.round(random() * Math.min(maxAfterMs, Math.max(spreadMs, stepMs)))
        const message: Reconnect = { type: 'Reconnect', afterMs, reason: 'drain' }
        const frame = encodeFrame(JSON.stringify(message))
        onSent(frame, connection.send(frame))
      }
      connection.close(code, reason)
    }
  }
}
