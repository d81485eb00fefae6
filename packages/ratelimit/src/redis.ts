export {
  rateLimitClusterOptions,
  type RateLimitClusterOptions,
  rateLimitRedisOptions,
  type RateLimitRedisOptions,
} from './redis-options.ts'
export {
  type RateLimitRedis,
  RedisRateLimitStore,
  type RedisRateLimitStoreOptions,
} from './redis-rate-limit-store.ts'
