import { Redis } from 'ioredis'
import { setTimeout as pause } from 'node:timers/promises'
import { freePort } from './free-port.ts'
import { startRedis, type TestRedis } from './redis-server.ts'

/** A Redis Cluster of the test's own: masters first in `nodes`, then the replicas in the order of their masters. */
export interface TestRedisCluster extends AsyncDisposable {
  readonly nodes: readonly TestRedis[]
  /** What `new Cluster(…)` of ioredis takes. */
  readonly seeds: readonly { readonly host: string; readonly port: number }[]
  stop(): void
}

export interface TestRedisClusterOptions {
  /** Default 3. */
  readonly masters?: number
  /** In all, not for each master: 0 (default) or as many as masters. */
  readonly replicas?: number
  /** `cluster-node-timeout` in ms: how soon a dead master is replaced. Default 2000. */
  readonly nodeTimeoutMs?: number
}

interface Node {
  readonly redis: TestRedis
  readonly busPort: number
}

const slots = 16_384

async function until(done: () => Promise<boolean>, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!(await done())) {
    if (Date.now() > deadline) throw new Error(`The cluster did not agree within ${timeoutMs} ms`)
    await pause(50)
  }
}

async function agrees(client: Redis, size: number): Promise<boolean> {
  const info = String(await client.call('CLUSTER', 'INFO'))
  return info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${size}`)
}

/** Whether this node has heard of so many replicas: a master that has not ignores its replica's call for a failover. */
async function knowsReplicas(client: Redis, replicas: number): Promise<boolean> {
  const nodes = String(await client.call('CLUSTER', 'NODES')).split('\n')
  return nodes.filter((line) => /\bslave\b/.test(line)).length === replicas
}

async function form(nodes: readonly Node[], masters: number): Promise<void> {
  const clients = nodes.map(({ redis }) => new Redis(redis.url))
  try {
    const [first] = clients
    if (first === undefined) throw new Error('A cluster needs a node')
    const ids = await Promise.all(clients.map(async (client) => String(await client.call('CLUSTER', 'MYID'))))
    const share = slots / masters
    for (const [at, client] of clients.slice(0, masters).entries())
      await client.call('CLUSTER', 'ADDSLOTSRANGE', Math.ceil(at * share), Math.ceil((at + 1) * share) - 1)
    for (const [at, client] of clients.entries()) await client.call('CLUSTER', 'SET-CONFIG-EPOCH', at + 1)
    for (const { redis, busPort } of nodes.slice(1))
      await first.call('CLUSTER', 'MEET', '127.0.0.1', redis.port, busPort)
    const all = async (holds: (client: Redis) => Promise<boolean>): Promise<void> =>
      until(async () => (await Promise.all(clients.map(holds))).every(Boolean), 20_000)
    await all(async (client) => agrees(client, nodes.length))
    const replicas = clients.slice(masters).map(async (client, at) => {
      await client.call('CLUSTER', 'REPLICATE', ids[at % masters] ?? '')
      await until(async () => (await client.info('replication')).includes('master_link_status:up'), 20_000)
    })
    await Promise.all(replicas)
    await all(async (client) => knowsReplicas(client, nodes.length - masters))
  } finally {
    for (const client of clients) client.disconnect()
  }
}

async function startNode(args: readonly string[]): Promise<Node> {
  const start = async (): Promise<Node> => {
    const busPort = await freePort()
    return { redis: await startRedis({ args: [...args, '--cluster-port', String(busPort)] }), busPort }
  }
  // Another node may have taken the bus port meanwhile, as another process may take any: then the next one.
  return start().catch(start)
}

/** Starts the nodes and waits until all agree on all slots: 2 to 4 s. */
export async function startRedisCluster(options: TestRedisClusterOptions = {}): Promise<TestRedisCluster> {
  const { masters = 3, replicas = 0, nodeTimeoutMs = 2000 } = options
  const cluster = ['--cluster-enabled', 'yes', '--cluster-node-timeout', String(nodeTimeoutMs)]
  // Otherwise a replica waits 5 s for its first sync, and one that was long without its master may not replace it.
  const replica = ['--repl-diskless-sync-delay', '0', '--cluster-replica-validity-factor', '0']
  const started = await Promise.all(
    Array.from({ length: masters + replicas }, async () => startNode([...cluster, ...replica])),
  )
  const nodes = started.map(({ redis }) => redis)
  const stop = (): void => {
    for (const node of nodes) node.stop()
  }
  try {
    await form(started, masters)
  } catch (error) {
    stop()
    throw error
  }
  return {
    nodes,
    seeds: nodes.map(({ port }) => ({ host: '127.0.0.1', port })),
    stop,
    async [Symbol.asyncDispose]() {
      await Promise.all(nodes.map(async (node) => node[Symbol.asyncDispose]()))
    },
  }
}
