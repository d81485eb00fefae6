export {
  type Connection,
  type ConnectionClose,
  type ConnectionEvent,
  type ConnectionIdentity,
  type ConnectionOptions,
  createConnection,
  tooSlow,
} from './connection.ts'
export { afterWrites, type SendAll, useSendAll } from './write-turn.ts'
export {
  type ConnectionGroup,
  createConnectionGroup,
  type GroupMember,
  type SendCounts,
} from './connection-group.ts'
export { encodeFrame, type Frame } from './frame.ts'
export {
  type ConnectionRegistry,
  type ConnectionRegistryOptions,
  createConnectionRegistry,
  type RegisterRefusal,
  type RegisterResult,
} from './connection-registry.ts'
export {
  createSubscriptions,
  type SubscribeResult,
  type Subscriptions,
  type SubscriptionsOptions,
} from './subscriptions.ts'
export { createHeartbeat, type Heartbeat, type HeartbeatOptions, type HeartbeatTarget } from './heartbeat.ts'
export {
  type OutboundLimits,
  type SendKind,
  type SendOptions,
  type SendResult,
  sendResults,
} from './outbound-queue.ts'
export type { DirectWay, SocketEvents, SocketLike } from './socket-like.ts'
export { ConnectionsError, type ConnectionsErrorCode } from './connections-error.ts'
export type {
  ConnectionStore,
  ConnectionStoreListener,
  LocatedConnection,
  ReapedConnections,
  StoredConnection,
} from './connection-store.ts'
export { MemoryConnectionStore } from './memory-connection-store.ts'
export {
  createSessions,
  type Session,
  type Sessions,
  type SessionsEvent,
  type SessionsOptions,
} from './sessions.ts'
export { MemoryPresenceStore, type MemoryPresenceStoreOptions } from './memory-presence-store.ts'
export type {
  PresenceChange,
  PresenceResult,
  PresenceStatus,
  PresenceStore,
  PresenceStoreOptions,
  PresenceUpdate,
} from './presence-store.ts'
