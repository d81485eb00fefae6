/** What happens on a socket; every callback is called after the one before it returned. */
export interface SocketEvents {
  /** One whole message. */
  onMessage(data: Buffer, isBinary: boolean): void
  onPong(): void
  /** A write had left bytes waiting (`bufferedBytes` > 0); all of them are with the network now. */
  onDrain(): void
  /** From now on `direct` is undefined, until a `write` has gone out. */
  onDetour(): void
  /** A broken frame or connection; a close follows. */
  onError(error: unknown): void
  /** The connection is gone: 1006 without a close frame. Called once, last. */
  onClose(code: number, reason: string): void
}

/** A way past the socket's own bookkeeping, for a peer that keeps up. */
export interface DirectWay {
  /**
   * Writes as `SocketLike.write` does, and is one function for all sockets. True: the network has all of it. False: `settle`
   * must follow, before anything else is written to any socket.
   */
  readonly write: (handle: object, bytes: Buffer) => boolean
  readonly handle: object
  /**
   * The handle's file descriptor, for `useSendAll`. From the moment it is closed the way must not be used: the number may
   * be another socket's next. Undefined or -1: none.
   */
  readonly fd?: number
  /** Ends a write that was not finished; returns `bufferedBytes` as it is then. */
  settle(bytes: Buffer): number
}

/** The part of a WebSocket that a connection uses: tests drive a connection without a network. */
export interface SocketLike {
  /** Must be called once, before anything can happen. */
  listen(events: SocketEvents): void
  /**
   * Writes one or more whole frames. The bytes are shared: never written into. Does nothing on a socket that is closing.
   * Returns `bufferedBytes` as it is then.
   */
  write(frames: Buffer): number
  /** Undefined while every byte must go through `write`. */
  readonly direct?: DirectWay | undefined
  ping(): void
  /** The closing handshake: what was written goes out first. */
  close(code: number, reason: string): void
  /** Ends the connection now. */
  terminate(): void
  /** Stops reading: the peer is slowed down by TCP. */
  pause(): void
  resume(): void
  /** Bytes that were written and that the network has not taken yet. */
  readonly bufferedBytes: number
}
