import { randomUUID } from 'node:crypto'
import { startRedisCluster, type TestRedisCluster } from '@gw/testing'
import { Cluster } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { RedisRevocationStore } from '../src/redis.ts'
import { nowMs } from './make-token.ts'
import { testRevocationStore } from './revocation-store.suite.ts'

let nodes: TestRedisCluster
let cluster: Cluster
beforeAll(async () => {
  nodes = await startRedisCluster()
  cluster = new Cluster([...nodes.seeds])
})
afterAll(async () => {
  cluster.disconnect()
  await nodes[Symbol.asyncDispose]()
})

describe('RedisRevocationStore on a Redis Cluster', () => {
  testRevocationStore({
    open: (options) =>
      new RedisRevocationStore({ redis: cluster, prefix: randomUUID(), timeoutMs: 5000, ...options }),
  })

  it('reaches another instance', async () => {
    const prefix = randomUUID()
    const open = (): RedisRevocationStore =>
      new RedisRevocationStore({ redis: cluster, prefix, timeoutMs: 5000, now: () => nowMs })
    const [one, other] = [open(), open()]
    await other.whenReady()
    const heard = new Promise((resolve) => other.onRevoked(resolve))
    await one.revoke({ kind: 'session', value: 's1', issuedBeforeMs: nowMs })
    expect(await heard).toEqual({ kind: 'session', value: 's1', issuedBeforeMs: nowMs })
    await Promise.all([one.close(), other.close()])
  })
})
