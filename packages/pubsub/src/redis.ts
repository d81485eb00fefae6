export {
  createRedisBroker,
  type Occurrence,
  type RedisBroker,
  type RedisBrokerOptions,
  type RelayResult,
} from './redis/redis-broker.ts'
export type {
  ConnectionSettings,
  RedisArgument,
  RedisClient,
  RedisCluster,
  RedisCommands,
  RedisNode,
  RedisConnection,
  RedisSubscriber,
} from './redis/redis-client.ts'
