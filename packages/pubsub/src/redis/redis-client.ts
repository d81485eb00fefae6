/** An argument of a Redis command. */
export type RedisArgument = string | Buffer | number

/** What is used of an ioredis `Redis` or `Cluster` to send commands. */
export interface RedisCommands {
  /** `ready` when commands can be sent. */
  readonly status: string
  readonly isCluster: boolean
  readonly options: {
    readonly host?: string | undefined
    readonly port?: number | undefined
    readonly keyPrefix?: string | undefined
    readonly autoResendUnfulfilledCommands?: boolean | undefined
  }
  callBuffer(command: string, args: RedisArgument[]): Promise<unknown>
  on(event: 'ready', listener: () => void): unknown
  off(event: 'ready', listener: () => void): unknown
}

/** How our own connections differ from the client they are made from: they queue nothing and send nothing twice. */
export interface ConnectionSettings {
  autoResubscribe: false
  autoResendUnfulfilledCommands: false
  enableOfflineQueue: false
  lazyConnect: false
  retryStrategy: (attempt: number) => number | null
  host?: string
  port?: number
  readOnly?: boolean
}

/** What is used of an ioredis `Redis`. */
export interface RedisNode extends RedisCommands {
  duplicate(settings: ConnectionSettings): RedisConnection
  disconnect(reconnect: boolean): void
}

/** What is used of an ioredis `Cluster`. */
export interface RedisCluster extends RedisCommands {
  /** `host:port` of the owner and its replicas, by slot. */
  readonly slots: readonly (readonly string[] | undefined)[]
  nodes(role: 'all'): readonly RedisNode[]
  refreshSlotsCache(callback: () => void): void
  on(event: 'ready' | 'refresh', listener: () => void): unknown
  off(event: 'ready' | 'refresh', listener: () => void): unknown
}

/** An ioredis `Redis` (also of a Sentinel) or `Cluster`. */
export type RedisClient = RedisNode | RedisCluster

/** A connection of our own. */
export type RedisConnection = RedisCommands & RedisSubscriber

/** What is used of a connection in subscriber mode; the `s…` commands on Redis Cluster only. */
export interface RedisSubscriber {
  readonly status: string
  subscribe(...channels: string[]): Promise<unknown>
  unsubscribe(...channels: string[]): Promise<unknown>
  ssubscribe(...channels: string[]): Promise<unknown>
  sunsubscribe(...channels: string[]): Promise<unknown>
  on(event: 'messageBuffer' | 'smessageBuffer', listener: (channel: Buffer, message: Buffer) => void): unknown
  on(event: 'ready' | 'close' | 'end' | 'moved', listener: () => void): unknown
  on(event: 'error', listener: (error: unknown) => void): unknown
  disconnect(): void
}
