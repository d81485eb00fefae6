/** Trouble for a Redis Cluster of three masters and three replicas: two processes with nothing but a broker on it. */
import { setTimeout as pause } from 'node:timers/promises'
import { startRedisCluster, type TestRedis, type TestRedisCluster } from '@gw/testing'
import { Redis } from 'ioredis'
import { type DevProcess, startProcess } from '../lib/dev-process.ts'
import { isObject } from '../lib/workspace.ts'
import type { Outcome, Scenario, ScenarioOptions } from './scenario.ts'
import { type Sight, Track } from './track.ts'
import { type Accepted, inCommonOrder, judge, sumOf } from './verdict.ts'

interface ClusterStage {
  readonly cluster: TestRedisCluster
  readonly durationMs: number
}

/** A scenario on a cluster of its own. */
export interface ClusterScenario extends Scenario {
  readonly trouble: (stage: ClusterStage) => Promise<void>
}

const channels = Array.from({ length: 9 }, (_, at) => `cluster:${at}`)
const hostNames = ['a', 'b']
const catchUpMs = 25_000

async function ask(
  node: TestRedis | undefined,
  ...[name, ...args]: readonly [string, ...(string | number)[]]
): Promise<unknown> {
  const client = new Redis(node?.url ?? '')
  try {
    return await client.call(name, ...args)
  } finally {
    client.disconnect()
  }
}

/** Takes one slot with its keys from one master to another, as `redis-cli --cluster reshard` does. */
async function moveSlot(cluster: TestRedisCluster, slot: number): Promise<void> {
  const [from, to, other] = cluster.nodes
  const [fromId, toId] = await Promise.all(
    [from, to].map(async (node) => String(await ask(node, 'CLUSTER', 'MYID'))),
  )
  await ask(to, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId ?? '')
  await ask(from, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId ?? '')
  for (;;) {
    const keys = await ask(from, 'CLUSTER', 'GETKEYSINSLOT', slot, 100)
    if (!Array.isArray(keys) || keys.length === 0) break
    await ask(from, 'MIGRATE', '127.0.0.1', to?.port ?? 0, '', 0, 5000, 'KEYS', ...keys.map(String))
  }
  for (const node of [to, from, other]) await ask(node, 'CLUSTER', 'SETSLOT', slot, 'NODE', toId ?? '')
}

/** The usual order; each on a cluster of its own. */
export const clusterScenarios: readonly ClusterScenario[] = [
  {
    name: 'cluster-failover',
    about: 'CLUSTER FAILOVER to each replica in turn',
    mayReset: false,
    async trouble({ cluster, durationMs }) {
      for (const replica of cluster.nodes.slice(3)) {
        await ask(replica, 'CLUSTER', 'FAILOVER')
        await pause(durationMs / 3)
      }
    },
  },
  {
    name: 'cluster-master-killed',
    about: 'kill -9 of a master; what it had not replicated is gone, and told',
    mayReset: true,
    async trouble({ cluster, durationMs }) {
      await pause(durationMs / 4)
      await cluster.nodes[0]?.kill('SIGKILL')
      // Until its replica is elected: node timeout and a vote.
      await pause(Math.max(5000, (durationMs * 3) / 4))
    },
  },
  {
    name: 'cluster-slot-moved',
    about: 'the slots of the channels of one master move to another',
    mayReset: false,
    async trouble({ cluster, durationMs }) {
      const [from] = cluster.nodes
      for (const channel of channels) {
        const slot = Number(await ask(from, 'CLUSTER', 'KEYSLOT', `{chaos:${channel}}`))
        // The first of three masters has the first third.
        if (slot < 5461) await moveSlot(cluster, slot)
      }
      await pause(durationMs)
    },
  },
]

/** A line of a host as what its subscriber saw. */
function sightOf({ kind, epoch, seq, id, place, reason }: Record<string, unknown>): Sight | undefined {
  if (kind === 'message') return { kind, epoch: String(epoch), seq: Number(seq), id: String(id) }
  if (!isObject(place)) return undefined
  const at = { epoch: String(place['epoch']), seq: Number(place['seq']) }
  if (kind === 'joined') return { kind, place: at }
  return kind === 'reset' ? { kind, reason: String(reason), place: at } : undefined
}

/** What the hosts told, by channel. */
class Notes {
  readonly tracks = new Map<string, Track[]>()
  readonly accepted = new Map<string, Accepted[][]>()

  listener(host: string): (line: string) => void {
    const tracks = new Map(channels.map((channel) => [channel, new Track(`${host}/${channel}`)]))
    const accepted = new Map(channels.map((channel): [string, Accepted[]] => [channel, []]))
    for (const channel of channels) {
      this.tracks.set(channel, [...(this.tracks.get(channel) ?? []), tracks.get(channel) ?? new Track('')])
      this.accepted.set(channel, [...(this.accepted.get(channel) ?? []), accepted.get(channel) ?? []])
    }
    return (line) => {
      if (!line.startsWith('{"channel"')) return
      const note: unknown = JSON.parse(line)
      if (!isObject(note)) return
      const { channel, kind, epoch, seq, id } = note
      if (kind === 'accepted')
        accepted.get(String(channel))?.push({ id: String(id), epoch: String(epoch), seq: Number(seq) })
      else {
        const sight = sightOf(note)
        if (sight) tracks.get(String(channel))?.add(sight)
      }
    }
  }

  get published(): number {
    return [...this.accepted.values()].flat(2).length
  }

  /** Subscribers that do not stand at the last accepted message of their channel. */
  behind(): string[] {
    return channels.flatMap((channel) => {
      const end = inCommonOrder(this.accepted.get(channel) ?? []).at(-1)
      const tracks = this.tracks.get(channel) ?? []
      return tracks
        .filter(({ last }) => end && !(last?.epoch === end.epoch && last.seq >= end.seq))
        .map(
          ({ name, last }) =>
            `${name} stands at ${last?.epoch}:${last?.seq}, not at ${end?.epoch}:${end?.seq}`,
        )
    })
  }
}

/** To the next phase of the hosts, which they confirm. */
async function signalAll(hosts: readonly DevProcess[], msg: string): Promise<void> {
  await Promise.all(
    hosts.map(async (host) => {
      const confirmed = host.waitForLine((line) => line === `{"msg":"${msg}"}`)
      if (host.pid !== undefined) process.kill(host.pid, 'SIGUSR2')
      await confirmed
    }),
  )
}

/** Starts a cluster and two hosts, makes the trouble, and judges. */
export async function runOnCluster(scenario: ClusterScenario, options: ScenarioOptions): Promise<Outcome> {
  const { durationMs, say } = options
  await using cluster = await startRedisCluster({ masters: 3, replicas: 3 })
  const notes = new Notes()
  const problems: string[] = []
  const hosts: DevProcess[] = []
  const env = {
    PATH: process.env['PATH'],
    CHAOS_PORTS: cluster.nodes.map(({ port }) => port).join(','),
    CHAOS_CHANNELS: channels.join(','),
  }
  const progress = setInterval(() => say(`${notes.published} published`), 1000)
  try {
    for (const name of hostNames) {
      const onLine = notes.listener(name)
      const host = startProcess({
        name,
        entry: 'tools/chaos/broker-host.ts',
        env: { ...env, CHAOS_NAME: name },
        onLine,
      })
      hosts.push(host)
      await host.waitForLine((line) => line === '{"msg":"listening"}')
    }
    await signalAll(hosts, 'publishing')
    await scenario.trouble({ cluster, durationMs })
    await signalAll(hosts, 'published')
    const late = Date.now() + catchUpMs
    while (notes.behind().length > 0 && Date.now() < late) await pause(100)
    problems.push(...notes.behind())
  } finally {
    clearInterval(progress)
    for (const host of hosts) host.kill()
    await Promise.all(hosts.map(async ({ ended }) => ended))
  }
  const verdicts = channels.map((channel) =>
    judge(notes.tracks.get(channel) ?? [], inCommonOrder(notes.accepted.get(channel) ?? [])),
  )
  return { ...sumOf(verdicts), published: notes.published, problems }
}
