import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { startRedis, type TestRedis } from './redis-server.ts'

/** A master and a replica, and three Sentinels that watch them, of the test's own. */
export interface TestRedisSentinel extends AsyncDisposable {
  /** The master at the start, and its replica. */
  readonly nodes: readonly TestRedis[]
  /** What `new Redis({sentinels, name})` of ioredis takes. */
  readonly seeds: readonly { readonly host: string; readonly port: number }[]
  readonly name: string
  /** Asks a Sentinel to make the replica the master, without an agreement. */
  failover(): Promise<void>
  stop(): void
}

const name = 'main'
const quorum = 2
const downAfterMs = 1000

async function until(done: () => Promise<boolean>, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!(await done())) {
    if (Date.now() > deadline) throw new Error(`The Sentinels did not agree within ${timeoutMs} ms`)
    await pause(50)
  }
}

/** Runs one command on a connection of its own. */
async function ask(
  server: TestRedis,
  ...[command, ...args]: readonly [string, ...string[]]
): Promise<unknown> {
  const client = new Redis(server.url)
  try {
    return await client.call(command, ...args)
  } finally {
    client.disconnect()
  }
}

/** A Sentinel writes down in its own file what it learns. */
function writeSettings(dir: string, port: number, masterPort: number): string {
  const file = join(dir, 'sentinel.conf')
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${dir}`,
    `sentinel monitor ${name} 127.0.0.1 ${masterPort} ${quorum}`,
    `sentinel down-after-milliseconds ${name} ${downAfterMs}`,
    `sentinel failover-timeout ${name} 3000`,
  ]
  writeFileSync(file, `${lines.join('\n')}\n`)
  // In a container the server is another user.
  chmodSync(dir, 0o777)
  chmodSync(file, 0o666)
  return file
}

async function knowsAll(sentinel: TestRedis): Promise<boolean> {
  const answer = await ask(sentinel, 'SENTINEL', 'MASTER', name)
  const state = Array.isArray(answer) ? answer.map(String) : []
  const valueOf = (field: string): string | undefined => state[state.indexOf(field) + 1]
  return valueOf('num-slaves') === '1' && valueOf('num-other-sentinels') === '2'
}

/** Starts all and waits until every Sentinel knows the others and the replica: 2 to 4 s. */
export async function startRedisSentinel(): Promise<TestRedisSentinel> {
  const started: TestRedis[] = []
  const begin = async (...options: Parameters<typeof startRedis>): Promise<TestRedis> => {
    const server = await startRedis(...options)
    started.push(server)
    return server
  }
  const stop = (): void => {
    for (const server of started) server.stop()
  }
  try {
    const master = await begin({ args: ['--repl-diskless-sync-delay', '0'] })
    const replicaOf = ['--replicaof', '127.0.0.1', String(master.port)]
    const replica = await begin({ args: [...replicaOf, '--repl-diskless-sync-delay', '0'] })
    const isUp = async (): Promise<boolean> =>
      String(await ask(replica, 'INFO', 'replication')).includes('master_link_status:up')
    await until(isUp, 20_000)
    const sentinels = await Promise.all(
      [1, 2, 3].map(async () =>
        begin({
          settings: (dir, port) => [writeSettings(dir, port, master.port), '--sentinel'],
          readyText: '+monitor master',
        }),
      ),
    )
    await until(async () => (await Promise.all(sentinels.map(knowsAll))).every(Boolean), 30_000)
    return {
      nodes: [master, replica],
      seeds: sentinels.map(({ port }) => ({ host: '127.0.0.1', port })),
      name,
      async failover() {
        const [first] = sentinels
        if (first) await ask(first, 'SENTINEL', 'FAILOVER', name)
      },
      stop,
      async [Symbol.asyncDispose]() {
        await Promise.all(started.map(async (server) => server[Symbol.asyncDispose]()))
      },
    }
  } catch (error) {
    stop()
    throw error
  }
}
