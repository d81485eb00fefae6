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
export { createIngest, type Ingest, type IngestMessage, type IngestOptions } from './redis/ingest.ts'
