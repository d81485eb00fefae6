/** What is read of a socket's events. */
export interface SocketEvent {
  readonly type: string
  readonly data?: unknown
  readonly code?: number
  readonly reason?: string
}

/** What is used of a WebSocket: the browser's, Node's (22 and later), or that of `ws`. */
export interface WebSocketLike {
  send(data: string): void
  close(code?: number, reason?: string): void
  addEventListener(type: 'open' | 'message' | 'close' | 'error', listener: (event: SocketEvent) => void): void
}

/** Makes a socket that is connecting. */
export type WebSocketConstructor = new (url: string) => WebSocketLike
