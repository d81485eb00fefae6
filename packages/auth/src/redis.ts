export {
  type RedisRevocationEvent,
  RedisRevocationStore,
  type RedisRevocationStoreOptions,
  type RevocationRedis,
} from './redis-revocation-store.ts'
