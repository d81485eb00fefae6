import type { BrokerHealth } from '../broker.ts'
import type { RedisUpstream } from './redis-upstream.ts'

export interface ProbesOptions {
  readonly upstream: RedisUpstream
  /** A probe's live channel. */
  readonly nameOf: (channel: string) => string
  /** Begins the names of all probe channels of this broker. */
  readonly prefix: string
  readonly intervalMs: number
  /** Without a message back for this long the link counts as dead. */
  readonly timeoutMs: number
  /** Publishes one message to the channel. */
  readonly send: (channel: string) => Promise<unknown>
  /** Nothing came back from the shard for `timeoutMs`; called again after each further `timeoutMs`. */
  readonly onSilent: (shard: string) => void
  readonly onError: (error: unknown) => void
}

interface Probe {
  readonly channel: string
  readonly name: string
  readonly sinceMs: number
  heardAtMs: number | undefined
  actedAtMs: number
  sending: boolean
}

const maxTries = 10_000

/**
 * Sends itself messages on the way that all messages go, through each shard. A link can be up and bring nothing (a hung
 * server, a half open connection): nothing else notices that.
 */
export class Probes {
  readonly #options: ProbesOptions
  readonly #timer: NodeJS.Timeout
  readonly #probes = new Map<string, Probe>()
  readonly #names = new Map<string, Probe>()
  /** All shards have answered once. */
  #proven = false

  constructor(options: ProbesOptions) {
    this.#options = options
    this.#timer = setInterval(() => this.#beat(), options.intervalMs)
    this.#timer.unref()
    this.#beat()
  }

  /** A message arrived: true if it was a probe's. */
  heard(name: string): boolean {
    const probe = this.#names.get(name)
    if (probe !== undefined) probe.heardAtMs = performance.now()
    return probe !== undefined
  }

  /** The slowest shard counts: its channels are silent. */
  health(): BrokerHealth {
    const { timeoutMs } = this.#options
    const nowMs = performance.now()
    const probes = [...this.#probes.values()]
    this.#proven ||= probes.length > 0 && probes.every(({ heardAtMs }) => heardAtMs !== undefined)
    if (!this.#proven || probes.length === 0) return { ok: false, reason: 'not connected yet' }
    // A shard that has just joined has its time to answer.
    const probeAgeMs = Math.max(...probes.map(({ heardAtMs, sinceMs }) => nowMs - (heardAtMs ?? sinceMs)))
    if (probeAgeMs <= timeoutMs) return { ok: true, probeAgeMs }
    return { ok: false, probeAgeMs, reason: 'messages do not come through' }
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #beat(): void {
    const { upstream, onSilent, timeoutMs } = this.#options
    const shards = upstream.shards()
    for (const [shard, probe] of this.#probes)
      if (!shards.includes(shard) || upstream.shardOf(probe.name) !== shard) this.#drop(shard, probe)
    const nowMs = performance.now()
    for (const shard of shards) {
      const probe = this.#probes.get(shard) ?? this.#add(shard)
      if (probe === undefined) continue
      if (nowMs - Math.max(probe.heardAtMs ?? 0, probe.actedAtMs) > timeoutMs) {
        probe.actedAtMs = nowMs
        onSilent(shard)
      }
      void this.#send(probe)
    }
  }

  /** A channel whose messages take the way through the shard: found by trying. */
  #add(shard: string): Probe | undefined {
    const { upstream, nameOf, prefix } = this.#options
    for (let tries = 0; tries < maxTries; tries++) {
      const channel = `${prefix}${tries}`
      const name = nameOf(channel)
      if (upstream.shardOf(name) !== shard) continue
      const nowMs = performance.now()
      const probe = { channel, name, sinceMs: nowMs, heardAtMs: undefined, actedAtMs: nowMs, sending: false }
      this.#probes.set(shard, probe)
      this.#names.set(name, probe)
      // While Redis is away this is late, not wrong: the link keeps the name and subscribes when it can.
      upstream.subscribe(name).then(
        async () => this.#send(probe),
        () => {},
      )
      return probe
    }
    return undefined
  }

  #drop(shard: string, { name }: Probe): void {
    this.#probes.delete(shard)
    this.#names.delete(name)
    this.#options.upstream.unsubscribe(name)
  }

  async #send(probe: Probe): Promise<void> {
    if (probe.sending) return
    probe.sending = true
    try {
      await this.#options.send(probe.channel)
    } catch (error) {
      this.#options.onError(error)
    } finally {
      probe.sending = false
    }
  }
}
