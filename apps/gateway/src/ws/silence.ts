/** Heartbeats (feature `heartbeat`): to each socket that nothing was written to for `heartbeatMs`, by one timer for all. */
import { type Connection, encodeFrame, type SocketLike } from '@gw/connections'
import type { Heartbeat } from '@gw/protocol'

export interface SilenceOptions {
  /** The longest silence, in ms. */
  readonly heartbeatMs: number
}

export interface Silence {
  readonly heartbeatMs: number
  /** The same socket, watched: use it in the socket's place. */
  watch(socket: SocketLike): SocketLike
  /** From now on the connection on a watched socket is never silent for longer. */
  add(connection: Connection, socket: SocketLike): void
  remove(connection: Connection): void
  close(): void
}

/** Looks every quarter of `heartbeatMs`, so a heartbeat comes at most that much too early. */
export function createSilence({ heartbeatMs }: SilenceOptions): Silence {
  const wroteAtMs = new WeakMap<SocketLike, number>()
  const watched = new Map<Connection, SocketLike>()
  const stepMs = heartbeatMs / 4

  const timer = setInterval(() => {
    const now = performance.now()
    const heartbeat: Heartbeat = { type: 'Heartbeat', at: new Date().toISOString() }
    const frame = encodeFrame(JSON.stringify(heartbeat))
    for (const [connection, socket] of watched)
      if (now - (wroteAtMs.get(socket) ?? 0) >= heartbeatMs - stepMs)
        connection.send(frame, { kind: 'ephemeral' })
  }, stepMs).unref()

  return {
    heartbeatMs,
    watch(socket) {
      const wrapped: SocketLike = {
        listen: (events) => socket.listen(events),
        write(frames) {
          wroteAtMs.set(wrapped, performance.now())
          socket.write(frames)
        },
        ping: () => socket.ping(),
        close: (code, reason) => socket.close(code, reason),
        terminate: () => socket.terminate(),
        pause: () => socket.pause(),
        resume: () => socket.resume(),
        get bufferedBytes() {
          return socket.bufferedBytes
        },
      }
      return wrapped
    },
    add: (connection, socket) => void watched.set(connection, socket),
    remove: (connection) => void watched.delete(connection),
    close: () => clearInterval(timer),
  }
}
