/**
 * One hit from each of a million addresses: what it costs Redis and this process, without and with a cap of new keys.
 * `pnpm --filter @gw/ratelimit bench:spray`, in a redis-server of its own. BENCH_KEYS for another
 * number, BENCH_CAP for one cap only.
 */
import { startRedis } from '@gw/testing'
import { Redis } from 'ioredis'
import { addressKey, createRateLimiter, type Policy } from '../src/index.ts'
import { rateLimitRedisOptions, RedisRateLimitStore } from '../src/redis.ts'

const keys = Number(process.env['BENCH_KEYS'] ?? 1_000_000)
const parallel = 500
const mb = 2 ** 20

async function usedMemory(client: Redis): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1])
}

function heapUsed(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

const caps = process.env['BENCH_CAP'] === undefined ? [undefined, 500] : [Number(process.env['BENCH_CAP'])]
for (const newKeysPerSecond of caps) {
  await using server = await startRedis()
  const client = new Redis(server.url, rateLimitRedisOptions())
  await new Promise((resolve) => client.once('ready', resolve))
  const policy: Policy = { name: 'http_ip', limit: 100, windowMs: 60_000 }
  const limiter = createRateLimiter({
    store: new RedisRateLimitStore({ client, deadlineMs: 10_000 }),
    policies: [newKeysPerSecond === undefined ? policy : { ...policy, newKeysPerSecond }],
    onStoreError: 'deny',
  })
  const before = { redis: await usedMemory(client), heap: heapUsed() }
  const startedAt = performance.now()
  const bySource: Record<string, number> = {}
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < keys) {
      const at = next
      next += 1
      const key = addressKey(`10.${(at >> 16) & 255}.${(at >> 8) & 255}.${at & 255}`)
      const { source } = await limiter.consume([{ policy: 'http_ip', key }])
      bySource[source] = (bySource[source] ?? 0) + 1
    }
  }
  await Promise.all(Array.from({ length: parallel }, lane))
  const seconds = (performance.now() - startedAt) / 1000
  const redis = (await usedMemory(client)) - before.redis
  const heap = heapUsed() - before.heap
  console.log(
    [
      `newKeysPerSecond ${newKeysPerSecond ?? 'none'}: ${keys} addresses in ${seconds.toFixed(1)} s`,
      `  Redis: ${await client.dbsize()} keys, ${(redis / mb).toFixed(1)} MB`,
      `  this process: heap ${(heap / mb).toFixed(1)} MB; answers ${JSON.stringify(bySource)}`,
    ].join('\n'),
  )
  limiter.close()
  client.disconnect()
}
