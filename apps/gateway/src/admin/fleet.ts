/**
 * Questions to all instances, over the fleet's own channels: what works for players works for operators.
 *
 *   ask ─▶ admin:ask ─▶ every instance ─▶ admin:answer:<asker> ─▶ all have answered, or the deadline: who was silent
 *
 * The asking instance answers itself directly, so that it can be seen and told things while Redis is away.
 */
import { randomUUID } from 'node:crypto'
import type { Broker, Subscription } from '@gw/pubsub'
import { GatewayError } from '../errors.ts'
import {
  type Command,
  type CommandOf,
  type CommandType,
  parseAnswer,
  parseAsk,
  parseResult,
  type ResultOf,
} from './command.ts'

/** Begins every channel of the fleet's own; no client and no backend can name one. */
export const fleetPrefix = 'admin:'
const askChannel = `${fleetPrefix}ask`
const answerChannel = (instanceId: string): string => `${fleetPrefix}answer:${instanceId}`

export interface FleetOptions {
  readonly instanceId: string
  readonly broker: Pick<Broker, 'publish' | 'subscribe'>
  /** Live instances as the connection store knows them; rejects while Redis is away. */
  readonly liveInstances: () => Promise<readonly string[]>
  readonly execute: (command: Command) => Promise<unknown>
  readonly onError: (stage: 'subscribe' | 'answer', error: unknown) => void
  /** For all answers to one question. Default 2000. */
  readonly deadlineMs?: number
  /** Until a failed subscribe is tried again. Default 1000. */
  readonly retryMs?: number
}

/** What came back: results by instance, and who gave none. */
export interface FleetAnswer<T extends CommandType> {
  readonly results: Readonly<Record<string, ResultOf<T>>>
  /** Live instances that did not answer in time, or not in a way that is understood here. */
  readonly silent: readonly string[]
  /** False while Redis is away: only this instance was asked. */
  readonly complete: boolean
}

export interface Fleet {
  /** Listens to other instances; resolves when it does, or when it will as soon as Redis comes. */
  start(): Promise<void>
  /** Asks `to`, or all. Throws `not_found` for an instance that does not live, `timeout` when the one asked is silent. */
  ask<T extends CommandType>(
    command: CommandOf<T> & { readonly type: T },
    to?: string,
  ): Promise<FleetAnswer<T>>
  close(): void
}

interface Pending {
  readonly awaited: Set<string>
  readonly given: Map<string, unknown>
  readonly done: () => void
}

/** Questions that may be open at once. */
const maxPending = 64

export function createFleet(options: FleetOptions): Fleet {
  const { instanceId, broker, execute, deadlineMs = 2000, retryMs = 1000 } = options
  const pending = new Map<string, Pending>()
  const subscriptions: Subscription[] = []
  const retries = new Set<NodeJS.Timeout>()
  let closed = false

  function listen(channel: string, onData: (data: Buffer) => void): Promise<void> {
    const subscriber = { onMessage: ({ data }: { readonly data: Buffer }) => onData(data), onReset: () => {} }
    return broker.subscribe(channel, subscriber).then(
      (subscription) => {
        if (closed) return subscription.close()
        subscriptions.push(subscription)
        subscription.start()
      },
      (error: unknown) => {
        if (closed) return
        options.onError('subscribe', error)
        const timer = setTimeout(() => {
          retries.delete(timer)
          void listen(channel, onData)
        }, retryMs)
        retries.add(timer.unref())
      },
    )
  }

  async function answer(data: Buffer): Promise<void> {
    const asked = parseAsk(data)
    if (!asked || asked.from === instanceId || (asked.to !== undefined && asked.to !== instanceId)) return
    const result = await execute(asked.command)
    await broker.publish(
      answerChannel(asked.from),
      JSON.stringify({ askId: asked.askId, instanceId, result }),
    )
  }

  function take(data: Buffer): void {
    const answered = parseAnswer(data)
    const open = answered && pending.get(answered.askId)
    if (!open) return
    open.given.set(answered.instanceId, answered.result)
    open.awaited.delete(answered.instanceId)
    if (open.awaited.size === 0) open.done()
  }

  /** The others that must answer, or undefined when nobody can say who there is. */
  async function others(to: string | undefined): Promise<readonly string[] | undefined> {
    let live: readonly string[]
    try {
      live = await options.liveInstances()
    } catch (error) {
      if (to !== undefined) throw new GatewayError('unavailable', 'Redis is away', { cause: error })
      return undefined
    }
    if (to !== undefined && !live.includes(to)) throw new GatewayError('not_found', 'No such instance')
    return to === undefined ? live.filter((other) => other !== instanceId) : [to]
  }

  async function askOthers(command: Command, awaited: readonly string[], to?: string) {
    const given = new Map<string, unknown>()
    if (awaited.length === 0) return given
    if (pending.size >= maxPending) throw new GatewayError('unavailable', 'Too many questions at once')
    const askId = randomUUID()
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, deadlineMs)
    pending.set(askId, { awaited: new Set(awaited), given, done: resolve })
    try {
      await broker.publish(askChannel, JSON.stringify({ askId, from: instanceId, to, command }))
      await promise
    } catch {
      // What could not be asked is told as silence.
    } finally {
      clearTimeout(timer)
      pending.delete(askId)
    }
    return given
  }

  return {
    async start() {
      await Promise.all([
        listen(askChannel, (data) => {
          answer(data).catch((error: unknown) => options.onError('answer', error))
        }),
        listen(answerChannel(instanceId), take),
      ])
    },
    async ask(command, to) {
      const asksItself = to === undefined || to === instanceId
      const awaited = to === instanceId ? [] : await others(to)
      const [own, given] = await Promise.all([
        asksItself ? execute(command) : undefined,
        askOthers(command, awaited ?? [], to),
      ])
      if (asksItself) given.set(instanceId, own)
      const results = Object.fromEntries(
        [...given].flatMap(([from, value]) => {
          const result = parseResult(command.type, value)
          return result === undefined ? [] : [[from, result]]
        }),
      )
      const silent = (awaited ?? []).filter((other) => !(other in results))
      if (to !== undefined && silent.length > 0)
        throw new GatewayError('timeout', 'The instance did not answer')
      return { results, silent, complete: awaited !== undefined }
    },
    close() {
      closed = true
      for (const timer of retries) clearTimeout(timer)
      for (const subscription of subscriptions) subscription.close()
      for (const { done } of pending.values()) done()
    },
  }
}
