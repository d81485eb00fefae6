import { randomBytes, randomUUID } from 'node:crypto'
import type {
  Broker,
  BrokerEvent,
  BrokerHealth,
  BrokerStats,
  PublishOptions,
  PublishResult,
  ReadOptions,
  ReadResult,
  Subscriber,
  SubscribeOptions,
  Subscription,
} from '../broker.ts'
import { type ChannelClass, ChannelClasses } from '../channel-class.ts'
import { ChannelHub, checkLocalOptions, type LocalOptions } from '../channel-hub.ts'
import { checkNumbers, maxTimerMs } from '../check-numbers.ts'
import { toReadResult } from '../channel-log.ts'
import { PubSubError } from '../errors.ts'
import { parseLimit, parsePublish, parseSince } from '../call-arguments.ts'
import { decodeEnvelope } from './envelope.ts'
import { Outbox } from './outbox.ts'
import { Probes } from './probes.ts'
import { type CommandLink, openCommands } from './command-link.ts'
import type { RedisClient } from './redis-client.ts'
import { RedisLog } from './redis-log.ts'
import { createUpstream, type RedisUpstream } from './redis-upstream.ts'
import { ScriptRunner } from './script-runner.ts'

export interface RedisBrokerOptions extends LocalOptions {
  /**
   * An ioredis `Redis` (also of a Sentinel) or `Cluster`. Connections of our own are made from it by `duplicate()`; on a
   * Cluster it carries the commands itself.
   */
  readonly client: RedisClient
  /** Begins every key and live channel. No braces. Default `gw`. */
  readonly prefix?: string
  /** Settings by prefix of the channel's name. Default: everything is an event, the last 1000 of five minutes. */
  readonly classes?: readonly ChannelClass[]
  /** How long an idempotency key is remembered, in ms. Default 600 000. */
  readonly idempotencyTtlMs?: number
  /** Deadline of a publish, a read, a subscribe, in ms. Default 1000. */
  readonly timeoutMs?: number
  /** Publishes, and commands, that may wait for an answer; more are refused. Default 10 000. */
  readonly maxPending?: number
  /** How often the broker sends itself a message, in ms. Default 1000. */
  readonly probeIntervalMs?: number
  /** Silence after which the link is replaced and `health()` is not ok, in ms. Default 3000. */
  readonly probeTimeoutMs?: number
  /** How often subscribed channels that were idle since are compared with their logs, in ms. Default 5000. */
  readonly checkIntervalMs?: number
  /**
   * When another Redis answers than the one that gave the last position, or it was started again. `keep`: the epoch goes on, and
   * a lost position that was given again may be taken for the new one. `reset`: the epoch ends, also when nothing was lost.
   * The same on all instances. Default `keep`.
   */
  readonly onNewMaster?: 'keep' | 'reset'
}

/** Which hearing of a message that several instances heard this is. */
export interface Occurrence {
  /** The same on all instances for the same content. */
  readonly key: string
  /** How often this instance has heard it, this time included. */
  readonly count: number
  /** When it heard it, by `performance.now()`. */
  readonly heardAtMs: number
  /** W3C `traceparent`, handed to subscribers. */
  readonly traceparent?: string
  /** Names the request that this is published for; handed to subscribers. */
  readonly requestId?: string
}

export interface RelayResult extends PublishResult {
  /** How often this content entered the log lately: an instance that heard it less often goes on from here. */
  readonly count: number
}

/** A broker on Redis that can also take in what several instances heard at once. */
export interface RedisBroker extends Broker {
  /** Publishes a message that every instance heard so that it enters the log once. Rejects with `PubSubError`. */
  relay(channel: string, data: Buffer, occurrence: Occurrence): Promise<RelayResult>
}

/**
 * Ordered channels on Redis 7: one node, Sentinel, or Cluster with sharded pub/sub. Redis may be away at this call and
 * later. Throws `invalid` for options that cannot work.
 */
export function createRedisBroker(options: RedisBrokerOptions): RedisBroker {
  return new RedisChannelBroker(options)
}

const probePrefix = '~probe:'
// How long a client that sends commands again may take to do so.
const resendTtlMs = 60_000

class RedisChannelBroker implements RedisBroker {
  readonly #classes: ChannelClasses
  readonly #log: RedisLog
  readonly #upstream: RedisUpstream
  readonly #commands: CommandLink
  readonly #hub: ChannelHub
  readonly #outbox: Outbox
  readonly #probes: Probes
  readonly #checks: NodeJS.Timeout
  readonly #idempotencyTtlMs: number
  readonly #resends: boolean
  #checking = false
  #closed = false

  constructor(options: RedisBrokerOptions) {
    const { client, prefix = 'gw', timeoutMs = 1000, maxPending = 10_000, onEvent = () => {} } = options
    const { probeIntervalMs = 1000, probeTimeoutMs = 3000, checkIntervalMs = 5000 } = options
    const { onNewMaster = 'keep' } = options
    check({ ...options, prefix })
    const onlyProbes: ChannelClass = {
      prefix: probePrefix,
      kind: 'ephemeral',
      historySize: 0,
      historyMaxAgeMs: 0,
    }
    this.#classes = new ChannelClasses([...(options.classes ?? []), onlyProbes])
    this.#idempotencyTtlMs = options.idempotencyTtlMs ?? 600_000
    this.#resends = client.isCluster
    this.#commands = openCommands(client, onEvent, () => runner.wake())
    const runner = new ScriptRunner({ client: () => this.#commands.connection, timeoutMs, maxPending })
    this.#log = new RedisLog({
      runner,
      classes: this.#classes,
      prefix,
      sharded: client.isCluster,
      onNewMaster,
    })
    const log = this.#log
    this.#outbox = new Outbox({
      append: async (channel, entries) => log.append(channel, entries),
      maxPending,
    })

    const channels = new Map<string, string>()
    this.#upstream = createUpstream({
      client,
      timeoutMs,
      onEvent,
      onMessage: (name, data) => {
        const channel = channels.get(name)
        if (channel !== undefined) this.#receive(channel, data, onEvent)
        else this.#probes.heard(name)
      },
      onResumed: (name) => {
        const channel = channels.get(name)
        if (channel !== undefined) this.#hub.sync(channel)
      },
    })
    this.#hub = new ChannelHub({
      ...options,
      classes: this.#classes,
      log,
      upstream: {
        subscribe: async (channel) => {
          const name = log.liveChannel(channel)
          channels.set(name, channel)
          await this.#upstream.subscribe(name)
        },
        unsubscribe: (channel) => {
          const name = log.liveChannel(channel)
          channels.delete(name)
          this.#upstream.unsubscribe(name)
        },
      },
    })
    this.#probes = new Probes({
      upstream: this.#upstream,
      nameOf: (channel) => log.liveChannel(channel),
      prefix: `${probePrefix}${randomUUID()}:`,
      intervalMs: probeIntervalMs,
      timeoutMs: probeTimeoutMs,
      send: async (channel) => log.append(channel, [probeEntry], true),
      onSilent: (shard) => {
        this.#commands.rebuild(shard)
        this.#upstream.rebuild(shard)
      },
      onTurnedAway: (shard) => this.#commands.rebuild(shard),
      onTakenAgain: (shard) => this.#upstream.rebuild(shard),
      onError: (error) => onEvent({ type: 'error', stage: 'probe', error }),
    })
    this.#checks = setInterval(() => void this.#check(onEvent), checkIntervalMs)
    this.#checks.unref()
  }

  async publish(
    channel: string,
    data: Buffer | string,
    options: PublishOptions = {},
  ): Promise<PublishResult> {
    this.#open(channel)
    const { idempotencyKey, traceparent, requestId } = options
    const bytes = parsePublish(data, options)
    // A Cluster client sends a command again when its node went away, though it may have been carried out.
    const token = this.#resends
      ? { key: `~${randomBytes(12).toString('base64url')}`, ttlMs: resendTtlMs }
      : undefined
    const known =
      idempotencyKey === undefined ? token : { key: idempotencyKey, ttlMs: this.#idempotencyTtlMs }
    const recognition = known === undefined ? undefined : { by: 'key' as const, ...known }
    const { epoch, seq, duplicate } = await this.#outbox.add(channel, {
      data: bytes,
      traceparent,
      requestId,
      recognition,
    })
    return { epoch, seq, duplicate: duplicate && idempotencyKey !== undefined }
  }

  async relay(channel: string, data: Buffer, occurrence: Occurrence): Promise<RelayResult> {
    this.#open(channel)
    const { key, count, heardAtMs, traceparent, requestId } = occurrence
    parsePublish(data, occurrence)
    checkNumbers({ count }, { isWhole: true })
    checkNumbers({ heardAtMs }, { least: 0 })
    const recognition = { by: 'occurrence' as const, key, count, heardAtMs }
    return this.#outbox.add(channel, { data, traceparent, requestId, recognition })
  }

  async subscribe(
    channel: string,
    subscriber: Subscriber,
    options: SubscribeOptions = {},
  ): Promise<Subscription> {
    this.#open(channel)
    return this.#hub.subscribe(channel, subscriber, parseSince(options.since))
  }

  async read(channel: string, { since, limit }: ReadOptions = {}): Promise<ReadResult> {
    this.#open(channel)
    const request = { limit: parseLimit(limit), ...parseSince(since) }
    return toReadResult(await this.#log.read(channel, request), since)
  }

  health(): BrokerHealth {
    return this.#closed ? { ok: false, reason: 'closed' } : this.#probes.health()
  }

  stats(): BrokerStats {
    return { channels: this.#hub.channels, subscriptions: this.#hub.subscriptions }
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#checks)
    this.#probes.close()
    this.#hub.close()
    this.#upstream.close()
    this.#commands.close()
  }

  #open(channel: string): void {
    if (this.#closed) throw new PubSubError('closed', 'The broker is closed')
    this.#classes.of(channel)
  }

  #receive(channel: string, data: Buffer, onEvent: (event: BrokerEvent) => void): void {
    const message = decodeEnvelope(channel, data)
    if (message !== undefined) this.#hub.receive(message)
    else
      onEvent({
        type: 'error',
        stage: 'decode',
        channel,
        error: new PubSubError('invalid', 'Not our envelope'),
      })
  }

  async #check(onEvent: (event: BrokerEvent) => void): Promise<void> {
    if (this.#checking || this.#closed) return
    this.#checking = true
    try {
      await this.#hub.check()
    } catch (error) {
      onEvent({ type: 'error', stage: 'check', error })
    } finally {
      this.#checking = false
    }
  }
}

const probeEntry = {
  data: Buffer.alloc(0),
  traceparent: undefined,
  requestId: undefined,
  recognition: undefined,
}

/** Before anything is opened, or a refused broker would leave connections and timers behind. */
function check({ client, prefix, ...options }: RedisBrokerOptions & { prefix: string }): void {
  if (!/^[^{}\p{Cc}]{1,64}$/u.test(prefix))
    throw new PubSubError('invalid', 'prefix has 1 to 64 characters, no braces')
  if (client.options.keyPrefix)
    throw new PubSubError(
      'invalid',
      'The client has a keyPrefix, which live channels would not get: use prefix',
    )
  checkLocalOptions(options)
  const { timeoutMs, probeIntervalMs, checkIntervalMs, probeTimeoutMs, maxPending, idempotencyTtlMs } =
    options
  checkNumbers({ timeoutMs, probeIntervalMs, checkIntervalMs }, { most: maxTimerMs })
  checkNumbers({ probeTimeoutMs, maxPending })
  // A script that Redis stops there has written the message already.
  checkNumbers({ idempotencyTtlMs }, { isWhole: true })
}
