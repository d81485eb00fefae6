/** Publishers and subscribers of one chat, and the judgement when the trouble is over. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Fleet } from './fleet.ts'
import { tokenOf } from './gateway-process.ts'
import { type Publisher, startPublisher } from './publisher.ts'
import type { Random } from './random.ts'
import { nowhere, type RawSubscriber, startRawSubscriber, type Subscriber } from './raw-subscriber.ts'
import { startSdkSubscriber } from './sdk-subscriber.ts'
import { type Accepted, inCommonOrder, judge, type Verdict } from './verdict.ts'

export interface LoadOptions {
  readonly fleet: Fleet
  readonly random: Random
  /** Of the table and its player; unique in the run. */
  readonly name: string
  readonly publishers: number
  /** Mean time between two messages of a publisher. */
  readonly everyMs: number
  /** Half of them by the SDK, half on the bare wire, spread over the gateways. Default 8. */
  readonly subscribers?: number
  readonly textLength?: number
  /** Of the subscribers. Default: one that a gateway verifies at once. */
  readonly tokenOf?: (user: string) => string
}

/** What runs on one chat. */
export interface Load {
  readonly tableId: string
  readonly publishers: readonly Publisher[]
  readonly subscribers: readonly Subscriber[]
  /** Those of the bare wire. */
  readonly raw: readonly RawSubscriber[]
  /** Ends publishing, waits until everyone has everything, closes all, and judges. */
  finish(): Promise<{ readonly published: number; readonly verdict: Verdict; readonly problems: string[] }>
}

const catchUpMs = 25_000

function isAt(subscriber: Subscriber, end: Accepted): boolean {
  const { last } = subscriber.track
  return last?.epoch === end.epoch && last.seq >= end.seq
}

/** Waits until all are at the end; those that are not in time. */
async function behind(
  subscribers: readonly Subscriber[],
  end: Accepted | undefined,
): Promise<readonly Subscriber[]> {
  if (!end) return []
  const late = Date.now() + catchUpMs
  for (;;) {
    const rest = subscribers.filter((subscriber) => !isAt(subscriber, end))
    if (rest.length === 0 || Date.now() > late) return rest
    await pause(50)
  }
}

/** Starts the subscribers, then the publishers. */
export async function startLoad(options: LoadOptions): Promise<Load> {
  const {
    fleet,
    random,
    name,
    everyMs,
    textLength,
    subscribers: size = 8,
    tokenOf: issue = tokenOf,
  } = options
  const tableId = await fleet.createTable(name)
  const urlFor = (at: number): (() => string) => {
    let first = true
    return () => {
      const { gateways } = fleet
      const place = first ? at % gateways.length : Math.floor(random() * gateways.length)
      first = false
      return gateways[place]?.wsUrl ?? nowhere
    }
  }
  const common = { token: issue(name), tableId, random }
  const places = Array.from({ length: size / 2 }, (_, at) => at)
  const [raw, sdk] = await Promise.all([
    Promise.all(
      places.map(async (at) => startRawSubscriber({ ...common, name: `raw-${at}`, url: urlFor(at) })),
    ),
    Promise.all(
      places.map(async (at) => startSdkSubscriber({ ...common, name: `sdk-${at}`, url: urlFor(at) })),
    ),
  ])
  const subscribers = [...raw, ...sdk]
  const ports = (): number[] => fleet.gateways.map(({ internalPort }) => internalPort)
  const publishers = Array.from({ length: options.publishers }, (_, at) =>
    startPublisher({
      ports,
      tableId,
      name: `p${at}`,
      random,
      everyMs,
      ...(textLength !== undefined && { textLength }),
    }),
  )

  return {
    tableId,
    publishers,
    subscribers,
    raw,
    async finish() {
      const problems: string[] = []
      for (const result of await Promise.allSettled(publishers.map(async (publisher) => publisher.stop())))
        if (result.status === 'rejected') problems.push(String(result.reason))
      const accepted = inCommonOrder(publishers.map((publisher) => publisher.accepted))
      const end = accepted.at(-1)
      for (const { track } of await behind(subscribers, end))
        problems.push(
          `${track.name} stands at ${track.last?.seq}, not at ${end?.seq}, ${catchUpMs} ms after the end`,
        )
      await Promise.all(subscribers.map(async (subscriber) => subscriber.close()))
      const tracks = subscribers.map(({ track }) => track)
      return { published: accepted.length, verdict: judge(tracks, accepted), problems }
    },
  }
}
