import { withDeadline } from '../deadline.ts'
import { PubSubError } from '../errors.ts'
import { connectionSettings } from './connection-settings.ts'
import { keySlot } from './key-slot.ts'
import type { RedisCluster, RedisConnection } from './redis-client.ts'
import { RedisLink } from './redis-link.ts'
import type { RedisUpstream, RedisUpstreamOptions } from './redis-upstream.ts'

export interface ClusterUpstreamOptions extends RedisUpstreamOptions {
  readonly client: RedisCluster
}

// A moved slot is not known to all nodes at once: ask again, a little later each time.
const refreshAfterMs: readonly number[] = [0, 150, 500, 1500]

/**
 * Sharded pub/sub: a link of our own to each master, and each channel on the link of its slot's owner. When a slot moves
 * or a master is replaced, its channels go over to the new owner and their logs are read across the gap.
 */
export class ClusterUpstream implements RedisUpstream {
  readonly #options: ClusterUpstreamOptions
  readonly #links = new Map<string, RedisLink>()
  /** Channel to the shard whose link it is on, or undefined while its owner is not known. */
  readonly #names = new Map<string, string | undefined>()
  readonly #waiting = new Set<() => void>()
  #refreshes: readonly NodeJS.Timeout[] = []

  constructor(options: ClusterUpstreamOptions) {
    this.#options = options
    options.client.on('refresh', this.#onRefresh)
  }

  async subscribe(name: string): Promise<void> {
    if (!this.#names.has(name)) this.#names.set(name, undefined)
    const link = this.#place(name, false) ?? (await this.#placeLater(name))
    await link.subscribe(name)
  }

  unsubscribe(name: string): void {
    const shard = this.#names.get(name)
    this.#names.delete(name)
    if (shard !== undefined) this.#links.get(shard)?.unsubscribe(name)
  }

  shards(): readonly string[] {
    const owners = new Set<string>()
    for (const nodes of this.#options.client.slots) if (nodes?.[0] !== undefined) owners.add(nodes[0])
    return [...owners]
  }

  shardOf(name: string): string | undefined {
    return this.#options.client.slots[keySlot(name)]?.[0]
  }

  rebuild(shard: string): void {
    this.#links.get(shard)?.rebuild()
    this.#refresh()
  }

  close(): void {
    this.#options.client.off('refresh', this.#onRefresh)
    for (const timer of this.#refreshes) clearTimeout(timer)
    for (const link of this.#links.values()) link.close()
    this.#links.clear()
    this.#names.clear()
  }

  readonly #onRefresh = (): void => {
    for (const name of this.#names.keys()) this.#place(name, true)
    const shards = new Set(this.shards())
    for (const [shard, link] of this.#links) {
      if (shards.has(shard) || link.size > 0) continue
      link.close()
      this.#links.delete(shard)
    }
    for (const wake of this.#waiting) wake()
  }

  /** Puts a channel on the link of its owner. `resumed`: it may have missed something on the way. */
  #place(name: string, resumed: boolean): RedisLink | undefined {
    const before = this.#names.get(name)
    const shard = this.shardOf(name)
    if (shard === undefined) return undefined
    const link = this.#links.get(shard) ?? this.#open(shard)
    if (link === undefined || before === shard) return link
    this.#names.set(name, shard)
    if (before !== undefined) this.#links.get(before)?.unsubscribe(name)
    if (resumed) link.resubscribe(name)
    return link
  }

  async #placeLater(name: string): Promise<RedisLink> {
    let wake = (): void => {}
    const refreshed = new Promise<void>((resolve) => {
      wake = resolve
    })
    this.#waiting.add(wake)
    this.#refresh()
    try {
      await withDeadline(refreshed, this.#options.timeoutMs, 'The cluster is not known yet')
    } finally {
      this.#waiting.delete(wake)
    }
    const link = this.#place(name, false)
    if (link === undefined) throw new PubSubError('unavailable', 'The channel has no owner in the cluster')
    return link
  }

  #open(shard: string): RedisLink | undefined {
    const { client } = this.#options
    const colon = shard.lastIndexOf(':')
    const address = { host: shard.slice(0, colon), port: Number(shard.slice(colon + 1)) }
    if (client.nodes('all').length === 0) return undefined
    const link = new RedisLink({
      ...this.#options,
      sharded: true,
      connect: () => this.#connect(address),
    })
    this.#links.set(shard, link)
    return link
  }

  /** Any node knows how to log in; the address is the shard's. */
  #connect(address: { readonly host: string; readonly port: number }): RedisConnection {
    const [node] = this.#options.client.nodes('all')
    if (node === undefined) throw new PubSubError('unavailable', 'The cluster has no nodes')
    const connection = node.duplicate({ ...connectionSettings, ...address, readOnly: false })
    connection.on('moved', () => this.#refresh())
    return connection
  }

  #refresh(): void {
    for (const timer of this.#refreshes) clearTimeout(timer)
    this.#refreshes = refreshAfterMs.map((ms) => {
      const timer = setTimeout(() => this.#options.client.refreshSlotsCache(() => {}), ms)
      return timer.unref()
    })
  }
}
