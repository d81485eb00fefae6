import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { startRedis, startRedisCluster } from '@gw/testing'

test('a killed server comes back empty on the same port', async () => {
  await using redis = await startRedis()
  const { pid } = redis
  const client = new Redis(redis.url, { retryStrategy: () => 20 })
  client.on('error', () => {})
  await client.set('a', '1')
  await redis.kill('SIGKILL')
  await redis.restart()
  expect(redis.pid).not.toBe(pid)
  expect(await client.get('a')).toBeNull()
  client.disconnect()
})

test('a stopped server answers nothing until it is continued', async () => {
  await using redis = await startRedis()
  const client = new Redis(redis.url, { commandTimeout: 200, maxRetriesPerRequest: 0 })
  client.on('error', () => {})
  await client.ping()
  await redis.kill('SIGSTOP')
  await expect(client.ping()).rejects.toThrow(/timed out/)
  await redis.kill('SIGCONT')
  expect(await client.ping()).toBe('PONG')
  client.disconnect()
})

test('a cluster owns all slots and its replicas follow', async () => {
  await using cluster = await startRedisCluster({ masters: 3, replicas: 3 })
  const client = new Redis(cluster.nodes[5]?.url ?? '')
  expect(await client.call('CLUSTER', 'INFO')).toContain('cluster_slots_ok:16384')
  expect(await client.info('replication')).toContain('role:slave')
  client.disconnect()
})
