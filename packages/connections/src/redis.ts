export {
  RedisConnectionStore,
  type RedisConnectionStoreEvent,
  type RedisConnectionStoreOptions,
} from './redis/redis-connection-store.ts'
export type { ConnectionsRedis } from './redis/redis-script.ts'
export { RedisPresenceStore, type RedisPresenceStoreOptions } from './redis/redis-presence-store.ts'
