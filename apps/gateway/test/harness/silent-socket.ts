import type { SocketLike } from '@gw/connections'

/** A socket whose peer reads all and says nothing. */
export function silentSocket(): SocketLike {
  return {
    bufferedBytes: 0,
    write: () => 0,
    ping() {},
    pause() {},
    resume() {},
    close() {},
    terminate() {},
    listen() {},
  }
}
