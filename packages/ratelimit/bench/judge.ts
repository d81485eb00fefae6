/**
 * Checks per second and CPU of Redis per check, against the libraries that services use today, in the same run:
 * `pnpm --filter @gw/ratelimit bench`. REDIS_URL, or a redis-server of its own. Ratios count, not absolute figures.
 */
import { startRedis } from '@gw/testing'
import { Redis } from 'ioredis'
import { cpus } from 'node:os'
import { type RedisReply, RedisStore } from 'rate-limit-redis'
import { RateLimiterRedis } from 'rate-limiter-flexible'
import { createRateLimiter, MemoryRateLimitStore } from '../src/index.ts'
import { rateLimitRedisOptions, RedisRateLimitStore } from '../src/redis.ts'

const calls = Number(process.env['BENCH_CALLS'] ?? 20_000)
const rounds = Number(process.env['BENCH_ROUNDS'] ?? 5)
/** A row goes on for at least so long. */
const leastMs = 250
/** Calls in flight at once. */
const parallel = 200
const subjects = 1000
const big = 1_000_000_000
const windowMs = 60_000

await using server = process.env['REDIS_URL'] === undefined ? await startRedis() : undefined
const client = new Redis(process.env['REDIS_URL'] ?? server?.url ?? '', rateLimitRedisOptions())
await new Promise((resolve) => client.once('ready', resolve))

interface Row {
  readonly name: string
  /** Not async itself: a second promise around each call would be measured with it. */
  readonly call: (at: number) => Promise<unknown>
}

/** Calls per second, and microseconds that Redis spent on commands per call. */
async function measure({ call }: Row): Promise<{ perSecond: number; redisUs: number }> {
  await client.config('RESETSTAT')
  const startedAt = performance.now()
  let next = 0
  let end = 0
  const lane = async (): Promise<void> => {
    while (next < end) {
      next += 1
      await call(next)
    }
  }
  // A row that needs no Redis is through in milliseconds: too short to say anything.
  while (performance.now() - startedAt < leastMs) {
    end += calls
    await Promise.all(Array.from({ length: parallel }, lane))
  }
  const seconds = (performance.now() - startedAt) / 1000
  const stats = await client.info('commandstats')
  let us = 0
  for (const [, command = '', usec] of stats.matchAll(/cmdstat_([^:]+):calls=\d+,usec=(\d+)/g)) {
    // A script's own commands are part of it already.
    if (command === 'evalsha' || command === 'eval') us += Number(usec)
  }
  return { perSecond: next / seconds, redisUs: us / next }
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN
}

const policies = [
  { name: 'user', limit: big, windowMs: 1000 },
  { name: 'ip', limit: big, windowMs: 1000 },
  { name: 'user10', limit: 10_000_000, windowMs, buckets: 10 },
  { name: 'ip10', limit: 10_000_000, windowMs, buckets: 10 },
  { name: 'flood', limit: 100, windowMs: 3_600_000 },
]
const limiter = createRateLimiter({
  store: new RedisRateLimitStore({ client, prefix: 'bench:', deadlineMs: 10_000 }),
  policies,
  onStoreError: 'deny',
})
const memory = createRateLimiter({ store: new MemoryRateLimitStore(), policies, onStoreError: 'deny' })

const flexible = { storeClient: client, duration: 60 }
const flexibleUser = new RateLimiterRedis({ ...flexible, keyPrefix: 'rlf:u', points: big })
const flexibleIp = new RateLimiterRedis({ ...flexible, keyPrefix: 'rlf:ip', points: big })
const flexibleFlood = new RateLimiterRedis({ ...flexible, keyPrefix: 'rlf:f', points: 100 })
// As its README advises; with it on, refusals come from its memory.
const flexibleBlocking = new RateLimiterRedis({
  ...flexible,
  keyPrefix: 'rlf:b',
  points: 100,
  inMemoryBlockOnConsumed: 100,
})

async function expressStore(prefix: string): Promise<RedisStore> {
  const store = new RedisStore({
    prefix,
    sendCommand: async (command: string, ...args: string[]): Promise<RedisReply> =>
      // Its type of a reply is ioredis's `unknown` spelled out.
      (await client.call(command, ...args)) as RedisReply,
  })
  await store.init({ windowMs } as Parameters<RedisStore['init']>[0])
  return store
}
const expressUser = await expressStore('rlr:u:')
const expressIp = await expressStore('rlr:ip:')

const groups: readonly { readonly title: string; readonly rows: readonly Row[] }[] = [
  {
    title: `user and address, ${subjects} of each, all allowed`,
    rows: [
      {
        name: '@gw/ratelimit, one call, B=1',
        call: (at) => limiter.consume([keyOf('user', at), keyOf('ip', at)]),
      },
      {
        name: '@gw/ratelimit, one call, B=10',
        call: (at) => limiter.consume([keyOf('user10', at), keyOf('ip10', at)]),
      },
      {
        name: 'rate-limiter-flexible, two calls at once',
        call: (at) =>
          Promise.all([flexibleUser.consume(`${at % subjects}`), flexibleIp.consume(`${at % subjects}`)]),
      },
      {
        name: 'rate-limit-redis, two calls at once',
        call: (at) =>
          Promise.all([expressUser.increment(`${at % subjects}`), expressIp.increment(`${at % subjects}`)]),
      },
      {
        name: '@gw/ratelimit in memory (no Redis)',
        call: (at) => memory.consume([keyOf('user', at), keyOf('ip', at)]),
      },
    ],
  },
  {
    title: 'one key far above its limit of 100',
    rows: [
      { name: '@gw/ratelimit', call: () => limiter.consume([{ policy: 'flood', key: 'one' }]) },
      { name: 'rate-limiter-flexible', call: () => flexibleFlood.consume('one').catch(() => {}) },
      {
        name: 'rate-limiter-flexible, inMemoryBlockOnConsumed',
        call: () => flexibleBlocking.consume('one').catch(() => {}),
      },
      { name: 'rate-limit-redis', call: () => expressUser.increment('flood') },
    ],
  },
]

function keyOf(policy: string, at: number): { policy: string; key: string } {
  return { policy, key: `${policy}:${at % subjects}` }
}

const version = /redis_version:(\S+)/.exec(await client.info('server'))?.[1]
console.log(`Node ${process.version}, Redis ${version}, ${cpus().length} × ${cpus()[0]?.model}`)
console.log(`${calls} calls, ${parallel} at once, median of ${rounds} rounds (lowest to highest)\n`)
for (const { title, rows } of groups) {
  console.log(title)
  const results = new Map<string, { perSecond: number; redisUs: number }[]>()
  for (const row of rows) await measure(row)
  // Round by round, so that a busy moment of the machine hits all rows.
  for (let round = 0; round < rounds; round += 1) {
    for (const row of rows) results.set(row.name, [...(results.get(row.name) ?? []), await measure(row)])
  }
  const control = [...results].find(([name]) => name.startsWith('rate-limiter-flexible'))?.[1] ?? []
  for (const [name, measured] of results) {
    const speeds = measured.map(({ perSecond }) => perSecond)
    const spread = `${Math.round(Math.min(...speeds))} to ${Math.round(Math.max(...speeds))}`
    const us = median(measured.map(({ redisUs }) => redisUs)).toFixed(2)
    // Of rows of the same round: what slowed the machine then, slowed both.
    const ratios = measured.map(({ perSecond }, at) => perSecond / (control[at]?.perSecond ?? Number.NaN))
    const line = [
      `${Math.round(median(speeds))}/s`.padStart(12),
      `(${spread})`.padEnd(22),
      `${us} us Redis CPU`.padEnd(20),
      `${median(ratios).toFixed(2)} × rate-limiter-flexible (${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)})`,
    ]
    console.log(`  ${name.padEnd(48)}${line.join('  ')}`)
  }
}
await client.quit()
