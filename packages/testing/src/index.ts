export { collectGarbage } from './collect-garbage.ts'
export { type Family, lintFamily, parseExposition, type Sample } from './exposition.ts'
export { freePort } from './free-port.ts'
export { startRedis, type TestRedis, type TestRedisOptions } from './redis-server.ts'
export { startRedisCluster, type TestRedisCluster, type TestRedisClusterOptions } from './redis-cluster.ts'
export { startRedisSentinel, type TestRedisSentinel } from './redis-sentinel.ts'
export { createLink, type LinkDirection, type TestLink, type TestLinkOptions } from './tcp-link.ts'
export { type OtlpSink, type ReceivedSpan, startOtlpSink } from './otlp-sink.ts'
export { signToken, type TestClaims } from './token.ts'
export {
  connectWs,
  type TestMessage,
  type TestPredicate,
  type TestWsClient,
  type TestWsOptions,
  TestWsRefused,
} from './ws-client.ts'
export type { ProvidedRedis } from './vitest-redis.ts'
