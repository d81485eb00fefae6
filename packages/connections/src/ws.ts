/** Sockets of the `ws` library. */
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { createDirectWriter } from './direct-writer.ts'
import type { SocketEvents, SocketLike } from './socket-like.ts'

/** The socket below, which `ws` doesn't offer: a frame that was built once is written to it as it is. */
interface RawSocket {
  readonly _socket: Duplex | null
}

const open = 1

export interface FromWebSocketOptions {
  /** Write past Node's stream where that is possible (plain TCP). Default true. */
  readonly direct?: boolean
}

/**
 * Adapts a server-side `WebSocket` without compression. Prebuilt frames are written straight to the socket below; `ws`
 * keeps the parsing, the pings and the closing handshake. Throws a TypeError for a socket that isn't open or compresses.
 */
export function fromWebSocket(socket: WebSocket, options: FromWebSocketOptions = {}): SocketLike {
  const raw = (socket as unknown as RawSocket)._socket
  if (raw === null || socket.extensions !== '')
    throw new TypeError('An open WebSocket without extensions is needed')
  socket.binaryType = 'nodebuffer'
  // Always listened to: a malformed frame must never end the process, not even before `listen`.
  socket.on('error', () => {})
  let isBehind = false
  let onDrain = (): void => {}

  // Not the stream's own `drain`: that one stays silent below its high-water mark.
  const written = (): void => {
    if (!isBehind || bufferedBytes() > 0) return
    isBehind = false
    onDrain()
  }
  const direct = options.direct === false ? undefined : createDirectWriter(raw, written)
  const bufferedBytes = (): number => raw.writableLength + (direct?.pendingBytes ?? 0)

  return {
    listen(events: SocketEvents) {
      onDrain = () => events.onDrain()
      socket.on('message', (data, isBinary) => {
        if (Buffer.isBuffer(data)) events.onMessage(data, isBinary)
      })
      socket.on('pong', () => events.onPong())
      socket.on('error', (error) => events.onError(error))
      socket.on('close', (code, reason) => events.onClose(code, reason.toString()))
    },
    write(frames) {
      if (socket.readyState !== open) return
      if (direct?.write(frames) !== true) raw.write(frames, written)
      isBehind = bufferedBytes() > 0
    },
    ping() {
      if (socket.readyState === open) socket.ping()
    },
    close: (code, reason) => socket.close(code, reason),
    terminate: () => socket.terminate(),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    get bufferedBytes() {
      return bufferedBytes()
    },
  }
}
