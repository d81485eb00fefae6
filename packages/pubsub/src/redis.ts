export {
  createRedisBroker,
  type Occurrence,
  type RedisBroker,
  type RedisBrokerOptions,
  type RelayResult,
} from './redis/redis-broker.ts'
export type {
  RedisArgument,
  RedisClient,
  RedisCluster,
  RedisCommands,
  RedisNode,
  RedisSubscriber,
  SubscriberSettings,
} from './redis/redis-client.ts'
