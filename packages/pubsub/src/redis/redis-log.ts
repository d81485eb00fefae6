import { createHash, randomBytes } from 'node:crypto'
import type { ChannelMessage, Position } from '../broker.ts'
import type { ChannelClasses } from '../channel-class.ts'
import type { ChannelLog, LogPage, LogRequest } from '../channel-log.ts'
import { PubSubError } from '../errors.ts'
import { decodeEnvelope, encodeOrigin } from './envelope.ts'
import type { RedisArgument } from './redis-client.ts'
import type { ScriptRunner } from './script-runner.ts'
import { movedScript, publishScript, readScript, rotateScript } from './scripts.ts'

export interface RedisLogOptions {
  readonly runner: ScriptRunner
  readonly classes: ChannelClasses
  readonly prefix: string
  readonly sharded: boolean
  readonly onNewMaster: 'keep' | 'reset'
}

/** How a message is told from one that was published before. */
export type Recognition =
  | { readonly by: 'key'; readonly key: string; readonly ttlMs: number }
  | { readonly by: 'occurrence'; readonly key: string; readonly count: number; readonly heardAtMs: number }

export interface LogEntry {
  readonly data: Buffer
  readonly traceparent: string | undefined
  readonly requestId: string | undefined
  readonly recognition: Recognition | undefined
}

export interface AppendResult {
  readonly epoch: string
  readonly seq: number
  readonly duplicate: boolean
  /** Of this content, with recognition by occurrence. */
  readonly count: number
}

// A channel that was only ever read is forgotten soon; one that has messages keeps its epoch for a day.
const readTtlMs = 900_000
const publishTtlMs = 86_400_000
/** How much later than another instance one may get a message into Redis after hearing it, beyond its own delay. */
export const occurrenceSlackMs = 1000
const occurrenceTtlMs = 60_000

/** The log of all channels in Redis; all keys of a channel share a slot, each has a TTL. */
export class RedisLog implements ChannelLog {
  readonly #options: RedisLogOptions

  constructor(options: RedisLogOptions) {
    this.#options = options
  }

  /** Where live messages of a channel are published. */
  liveChannel(channel: string): string {
    return `${this.#tag(channel)}:live`
  }

  /** Appends all in one step, in order; all or none. `urgent` is sent even when Redis seems to hang. */
  async append(
    channel: string,
    entries: readonly LogEntry[],
    urgent = false,
  ): Promise<readonly AppendResult[]> {
    const { runner, classes, sharded } = this.#options
    const { historySize, historyMaxAgeMs } = classes.of(channel)
    const keys = [...this.#keys(channel), this.liveChannel(channel)]
    const args: RedisArgument[] = [
      sharded ? 'SPUBLISH' : 'PUBLISH',
      newEpoch(),
      historySize,
      Math.max(1, Math.round(historyMaxAgeMs)),
      Math.max(publishTtlMs, 2 * Math.round(historyMaxAgeMs)),
      occurrenceTtlMs,
      this.#endsWithMaster(channel),
    ]
    for (const { data, traceparent, requestId, recognition } of entries) {
      args.push(data, encodeOrigin(traceparent, requestId))
      if (recognition === undefined) args.push('', '')
      else {
        keys.push(this.#recognitionKey(channel, recognition))
        args.push(...recognitionArguments(recognition))
      }
    }
    const reply = await runner.run({ script: publishScript, keys, args, urgent })
    return parseList(reply).map((result) => {
      const [epoch, seq, duplicate, count] = parseList(result)
      return {
        epoch: parseText(epoch),
        seq: parseInteger(seq),
        duplicate: parseInteger(duplicate) === 1,
        count: parseInteger(count),
      }
    })
  }

  async read(channel: string, { since, limit }: LogRequest): Promise<LogPage> {
    const { runner, classes } = this.#options
    const { historyMaxAgeMs } = classes.of(channel)
    const args = [
      newEpoch(),
      readTtlMs,
      Math.max(1, Math.round(historyMaxAgeMs)),
      limit,
      since?.epoch ?? '',
      since?.seq ?? 0,
      this.#endsWithMaster(channel),
    ]
    const reply = await runner.run({ script: readScript, keys: this.#keys(channel), args })
    const [epoch, seq, publishedAtMs, sinceAt, ...envelopes] = parseList(reply)
    const sinceAtMs = parseInteger(sinceAt)
    return {
      epoch: parseText(epoch),
      seq: parseInteger(seq),
      publishedAtMs: parseInteger(publishedAtMs),
      messages: envelopes.map((envelope) => parseMessage(channel, envelope)),
      ...(sinceAtMs === -1 ? {} : { sinceAtMs }),
    }
  }

  async findMoved(heads: ReadonlyMap<string, Position>): Promise<ReadonlyMap<string, Position>> {
    const moved = new Map<string, Position>()
    const channels = [...heads.keys()]
    if (this.#options.sharded) {
      // One command holds keys of one slot only.
      const pages = await Promise.all(channels.map(async (channel) => this.read(channel, { limit: 0 })))
      for (const [at, { epoch, seq }] of pages.entries()) {
        const channel = channels[at] ?? ''
        const head = heads.get(channel)
        if (epoch !== head?.epoch || seq !== head.seq) moved.set(channel, { epoch, seq })
      }
      return moved
    }
    const args: RedisArgument[] = [readTtlMs]
    for (const { epoch, seq } of heads.values()) args.push(epoch, seq)
    const keys = channels.map((channel) => `${this.#tag(channel)}:meta`)
    const reply = await this.#options.runner.run({ script: movedScript, keys, args })
    for (const entry of parseList(reply)) {
      const [at, epoch, seq] = parseList(entry)
      const channel = channels[parseInteger(at)]
      if (channel !== undefined) moved.set(channel, { epoch: parseText(epoch), seq: parseInteger(seq) })
    }
    return moved
  }

  async rotate(channel: string, epoch: string): Promise<void> {
    const args = [epoch, newEpoch(), publishTtlMs]
    await this.#options.runner.run({ script: rotateScript, keys: this.#keys(channel), args })
  }

  /** Without a log there is no continuity to watch over. */
  #endsWithMaster(channel: string): 0 | 1 {
    const { onNewMaster, classes } = this.#options
    return onNewMaster === 'reset' && classes.of(channel).historySize > 0 ? 1 : 0
  }

  #keys(channel: string): string[] {
    const tag = this.#tag(channel)
    return [`${tag}:meta`, `${tag}:log`]
  }

  /** The hash tag holds prefix and channel, so that it is never empty, whatever the channel's name. */
  #tag(channel: string): string {
    return `{${this.#options.prefix}:${channel}}`
  }

  /** A digest: of bounded length, and no key of a caller can meet another key of ours. */
  #recognitionKey(channel: string, { by, key }: Recognition): string {
    const digest = createHash('sha256').update(key).digest('base64url')
    return `${this.#tag(channel)}:${by}:${digest}`
  }
}

function newEpoch(): string {
  return randomBytes(9).toString('base64url')
}

function recognitionArguments(recognition: Recognition): [string, string] {
  if (recognition.by === 'key') return ['k', String(recognition.ttlMs)]
  const delayMs = Math.max(0, Math.ceil(performance.now() - recognition.heardAtMs))
  return ['o', `${recognition.count}:${delayMs}:${occurrenceSlackMs}`]
}

function parseList(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value
  throw new PubSubError('unavailable', 'Redis gave an answer that is not a list')
}

function parseText(value: unknown): string {
  if (typeof value === 'string') return value
  if (Buffer.isBuffer(value)) return value.toString()
  throw new PubSubError('unavailable', 'Redis gave an answer that is not a text')
}

function parseInteger(value: unknown): number {
  const number = typeof value === 'number' ? value : Number(parseText(value))
  if (Number.isSafeInteger(number)) return number
  throw new PubSubError('unavailable', 'Redis gave an answer that is not an integer')
}

function parseMessage(channel: string, envelope: unknown): ChannelMessage {
  const message = Buffer.isBuffer(envelope) ? decodeEnvelope(channel, envelope) : undefined
  if (message !== undefined) return message
  throw new PubSubError('unavailable', 'The log has an entry that is not ours')
}
