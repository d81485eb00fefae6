import type { BrokerHealth } from '../broker.ts'
import type { RedisUpstream } from './redis-upstream.ts'
import { replyCode } from './script-runner.ts'

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
  /**
   * For `timeoutMs` the shard answered nothing, or took messages that did not arrive; called again after each further
   * `timeoutMs`. A shard that refuses messages is not silent: other links would bring no more.
   */
  readonly onSilent: (shard: string) => void
  /** The shard answers that commands need another connection; called again after each further `timeoutMs`. */
  readonly onTurnedAway: (shard: string) => void
  /** Messages are taken again after `onTurnedAway`, perhaps by another server: subscriptions have to follow. */
  readonly onTakenAgain: (shard: string) => void
  readonly onError: (error: unknown) => void
}

interface Probe {
  readonly channel: string
  readonly name: string
  readonly sinceMs: number
  heardAtMs: number | undefined
  /** Also by an error. */
  answeredAtMs: number
  /** When the first message was sent that was taken and has not arrived. */
  unheardSinceMs: number | undefined
  /** The code of the last answer, if it was an error. */
  refusedWith: string | undefined
  turnedAway: boolean
  actedAtMs: number
  sending: boolean
}

// A replica answers (a master that was demoted keeps its connections open), or the connection is not logged in.
const turningAway: ReadonlySet<string | undefined> = new Set(['READONLY', 'MASTERDOWN', 'NOAUTH'])

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
    if (probe === undefined) return false
    probe.heardAtMs = performance.now()
    probe.answeredAtMs = probe.heardAtMs
    probe.unheardSinceMs = undefined
    return true
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
    const code = probes.find(({ refusedWith }) => refusedWith !== undefined)?.refusedWith
    const why = code === undefined ? '' : `: Redis refuses them (${code})`
    return { ok: false, probeAgeMs, reason: `messages do not come through${why}` }
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #beat(): void {
    const { upstream, timeoutMs } = this.#options
    const shards = upstream.shards()
    for (const [shard, probe] of this.#probes)
      if (!shards.includes(shard) || upstream.shardOf(probe.name) !== shard) this.#drop(shard, probe)
    const nowMs = performance.now()
    for (const shard of shards) {
      const probe = this.#probes.get(shard) ?? this.#add(shard)
      if (probe === undefined) continue
      if (nowMs - probe.actedAtMs > timeoutMs) this.#act(shard, probe, nowMs)
      void this.#send(shard, probe)
    }
  }

  #act(shard: string, probe: Probe, nowMs: number): void {
    const { onSilent, onTurnedAway, timeoutMs } = this.#options
    if (nowMs - (probe.unheardSinceMs ?? probe.answeredAtMs) > timeoutMs) onSilent(shard)
    else if (turningAway.has(probe.refusedWith)) onTurnedAway(shard)
    else return
    probe.actedAtMs = nowMs
    // What was on its way to a link that was replaced arrives no more.
    probe.unheardSinceMs = undefined
  }

  /** A channel whose messages take the way through the shard: found by trying. */
  #add(shard: string): Probe | undefined {
    const { upstream, nameOf, prefix } = this.#options
    for (let tries = 0; tries < maxTries; tries++) {
      const channel = `${prefix}${tries}`
      const name = nameOf(channel)
      if (upstream.shardOf(name) !== shard) continue
      const nowMs = performance.now()
      const probe: Probe = {
        channel,
        name,
        sinceMs: nowMs,
        heardAtMs: undefined,
        answeredAtMs: nowMs,
        unheardSinceMs: undefined,
        refusedWith: undefined,
        turnedAway: false,
        actedAtMs: nowMs,
        sending: false,
      }
      this.#probes.set(shard, probe)
      this.#names.set(name, probe)
      // While Redis is away this is late, not wrong: the link keeps the name and subscribes when it can.
      upstream.subscribe(name).then(
        async () => this.#send(shard, probe),
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

  async #send(shard: string, probe: Probe): Promise<void> {
    if (probe.sending) return
    probe.sending = true
    const sentAtMs = performance.now()
    try {
      await this.#options.send(probe.channel)
      this.#taken(shard, probe, sentAtMs)
    } catch (error) {
      probe.refusedWith = replyCode(error)
      if (probe.refusedWith !== undefined) probe.answeredAtMs = performance.now()
      probe.turnedAway ||= turningAway.has(probe.refusedWith)
      this.#options.onError(error)
    } finally {
      probe.sending = false
    }
  }

  #taken(shard: string, probe: Probe, sentAtMs: number): void {
    probe.answeredAtMs = performance.now()
    probe.refusedWith = undefined
    // It may have arrived before the answer.
    if ((probe.heardAtMs ?? 0) < sentAtMs) probe.unheardSinceMs ??= sentAtMs
    if (!probe.turnedAway) return
    probe.turnedAway = false
    this.#options.onTakenAgain(shard)
  }
}
