/** Heartbeats (feature `heartbeat`): to each socket that nothing was written to for `heartbeatMs`, by one timer for all. */
import { type Connection, encodeFrame, type Frame, type SendResult } from '@gw/connections'
import type { Heartbeat } from '@gw/protocol'

export interface SilenceOptions {
  /** The longest silence, in ms. */
  readonly heartbeatMs: number
  /** What became of a heartbeat, for each socket. */
  readonly onSent: (frame: Frame, result: SendResult) => void
}

export interface Silence {
  readonly heartbeatMs: number
  /** From now on the connection is never silent for longer. */
  add(connection: Connection): void
  remove(connection: Connection): void
  close(): void
}

/** Looks every quarter of `heartbeatMs`, so a heartbeat comes at most that much too early. */
export function createSilence({ heartbeatMs, onSent }: SilenceOptions): Silence {
  const watched = new Set<Connection>()
  const stepMs = heartbeatMs / 4

  const timer = setInterval(() => {
    const now = performance.now()
    const heartbeat: Heartbeat = { type: 'Heartbeat', at: new Date().toISOString() }
    const frame = encodeFrame(JSON.stringify(heartbeat))
    for (const connection of watched)
      if (now - connection.wroteAtMs >= heartbeatMs - stepMs)
        onSent(frame, connection.send(frame, { kind: 'ephemeral' }))
  }, stepMs).unref()

  return {
    heartbeatMs,
    add: (connection) => void watched.add(connection),
    remove: (connection) => void watched.delete(connection),
    close: () => clearInterval(timer),
  }
}
