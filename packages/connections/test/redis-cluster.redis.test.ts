import { randomUUID } from 'node:crypto'
import { startRedisCluster, type TestRedisCluster } from '@gw/testing'
import { Cluster } from 'ioredis'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { RedisPresenceStore } from '@gw/connections/redis'
import { idsOf, stored, testConnectionStore } from './connection-store.suite.ts'
import { testPresenceStore } from './presence-store.suite.ts'
import { openRedisPlace } from './store-place.ts'

let servers: TestRedisCluster
let cluster: Cluster
beforeAll(async () => {
  servers = await startRedisCluster()
  cluster = new Cluster([...servers.seeds])
})
afterAll(async () => {
  cluster.disconnect()
  await servers[Symbol.asyncDispose]()
})

testConnectionStore(() => openRedisPlace('', cluster))

testPresenceStore(
  (graceMs) => new RedisPresenceStore({ redis: cluster, prefix: `t-${randomUUID()}`, graceMs }),
)

it('cleans up behind a dead instance whatever slots the two have', async () => {
  await using place = openRedisPlace('', cluster)
  const leaseMs = 1000
  for (const victim of ['one', 'two', 'three']) {
    const dying = new Cluster([...servers.seeds])
    await place.open(victim, { redis: dying, leaseMs }).save(stored(victim, 'u'))
    dying.disconnect()
  }
  const survivor = place.open('survivor', { leaseMs })
  const reaped: string[] = []
  await new Promise<void>((resolve) => {
    survivor.listen({
      onReaped({ connections }) {
        if (reaped.push(...idsOf(connections)) === 3) resolve()
      },
    })
  })
  expect(reaped.sort()).toEqual(['one', 'three', 'two'])
  expect(await survivor.getByUser('u')).toEqual([])
})
