import { randomUUID } from 'node:crypto'
import { startRedisCluster, type TestRedisCluster } from '@gw/testing'
import { Cluster } from 'ioredis'
import { afterAll, beforeAll, describe } from 'vitest'
import { createRedisBroker, type RedisBroker } from '@gw/pubsub/redis'
import { classes, describeBroker } from './contract.ts'

let cluster: TestRedisCluster

beforeAll(async () => {
  cluster = await startRedisCluster({ masters: 3 })
})
afterAll(() => cluster.stop())

describe.each(['keep', 'reset'] as const)(
  'broker on Redis Cluster with sharded pub/sub, onNewMaster: %s',
  (onNewMaster) => {
    describeBroker(async () => {
      const prefix = `t-${randomUUID()}`
      const brokers: RedisBroker[] = []
      const clients: Cluster[] = []
      return {
        shared: true,
        connect: () => {
          const client = new Cluster([...cluster.seeds])
          client.on('error', () => {})
          clients.push(client)
          const broker = createRedisBroker({ client, prefix, classes, onNewMaster })
          brokers.push(broker)
          return broker
        },
        async [Symbol.asyncDispose]() {
          await Promise.all(brokers.map(async (broker) => broker.close()))
          for (const client of clients) client.disconnect()
        },
      }
    })
  },
)
