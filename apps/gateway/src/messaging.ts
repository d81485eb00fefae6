/** The channels of the fleet: kept in Redis for all instances, or in memory for one. */
import {
  createMemoryBroker,
  type Broker,
  type BrokerEvent,
  type ChannelClass,
  type ChannelKind,
  type PublishOptions,
  type PublishResult,
} from '@gw/pubsub'
import { createIngest, createRedisBroker } from '@gw/pubsub/redis'
import type { RedisClients } from './redis.ts'
import { allChannel, lobbyChannel } from '@gw/protocol'
import { fleetPrefix } from './admin/fleet.ts'
import { observeBroker, type ObservePublish } from './observe/publishes.ts'
import { muteChannel } from './services/mute-events.ts'
import { type IngestEvent, parseIngestEnvelope } from './services/ingest-envelope.ts'

/**
 * What each kind of channel keeps for those who missed something. A table or the lobby is a state: the latest tells all.
 * Chat's own history lives in `@gw/chat`; the log here only bridges reconnects.
 */
const channelClasses: readonly ChannelClass[] = [
  { prefix: 'table:', kind: 'state', historySize: 200, historyMaxAgeMs: 10 * 60_000 },
  { prefix: 'chat:', kind: 'event', historySize: 500, historyMaxAgeMs: 60 * 60_000 },
  { prefix: 'lobby', kind: 'state', historySize: 20, historyMaxAgeMs: 10 * 60_000 },
  { prefix: 'user:', kind: 'event', historySize: 100, historyMaxAgeMs: 10 * 60_000 },
  { prefix: allChannel, kind: 'event', historySize: 100, historyMaxAgeMs: 10 * 60_000 },
  { prefix: 'presence:', kind: 'state', historySize: 1, historyMaxAgeMs: 10 * 60_000 },
  { prefix: muteChannel, kind: 'ephemeral', historySize: 0, historyMaxAgeMs: 0 },
  { prefix: 'typing:', kind: 'ephemeral', historySize: 0, historyMaxAgeMs: 0 },
  // Of the fleet itself: whoever was away when a question was asked must not answer it later.
  { prefix: fleetPrefix, kind: 'ephemeral', historySize: 0, historyMaxAgeMs: 0 },
]

/** How messages of a channel are treated when a socket is slow. */
export function channelKindOf(channel: string): ChannelKind {
  return channelClasses.find(({ prefix }) => channel.startsWith(prefix))?.kind ?? 'event'
}

/** The channel that existing backends publish on (contract §5.1). */
const ingestChannel = 'gateway:ws:events'

export interface MessagingOptions {
  readonly redis: RedisClients | undefined
  readonly prefix: string
  readonly onNewMaster: 'keep' | 'reset'
  readonly instanceId: string
  /** What backends publish goes through it on its way into a channel. */
  readonly intake: (broker: Broker) => Intake
  readonly onEvent: (event: BrokerEvent | IngestEvent) => void
  /** Around each publish. */
  readonly observePublish: ObservePublish
}

/** Publishes in place of the broker. */
export interface Intake {
  /** `heardAtMs`: of what is tried again when it failed. */
  publish(
    channel: string,
    data: Buffer | string,
    options?: PublishOptions & { readonly heardAtMs?: number },
  ): Promise<PublishResult>
  close(): void
}

export interface Messaging {
  readonly broker: Broker
  /** For what backends publish. */
  readonly intake: Intake
  close(): Promise<void>
}

export function createMessaging({
  redis,
  prefix,
  onNewMaster,
  instanceId,
  intake: createIntake,
  onEvent,
  observePublish,
}: MessagingOptions): Messaging {
  if (!redis) {
    const broker = observeBroker(createMemoryBroker({ classes: channelClasses, onEvent }), observePublish)
    const intake = createIntake(broker)
    return {
      broker,
      intake,
      close() {
        intake.close()
        return broker.close()
      },
    }
  }
  const redisBroker = createRedisBroker({
    client: redis.commands,
    prefix,
    classes: channelClasses,
    onNewMaster,
    onEvent,
  })
  const broker = observeBroker(redisBroker, observePublish)
  const intake = createIntake(broker)
  const ingest = createIngest({
    client: redis.commands,
    channel: ingestChannel,
    broker: {
      publish: (channel, data, publishOptions) => intake.publish(channel, data, publishOptions),
      // The lobby's content alone decides whether it is published, not how often it was heard.
      async relay(channel, data, occurrence) {
        if (channel !== lobbyChannel)
          return observePublish(channel, occurrence, (origin) =>
            redisBroker.relay(channel, data, { ...occurrence, ...origin }),
          )
        const { count, heardAtMs } = occurrence
        return { ...(await intake.publish(channel, data, { heardAtMs })), count }
      },
      subscribe: (channel, subscriber, subscribeOptions) =>
        broker.subscribe(channel, subscriber, subscribeOptions),
      read: (channel, readOptions) => broker.read(channel, readOptions),
      health: () => broker.health(),
      stats: () => broker.stats(),
      close: () => broker.close(),
    },
    parse(raw) {
      const heard = parseIngestEnvelope(raw)
      // Its own, which it has put where it belongs already.
      if (heard.sourceId === instanceId) return undefined
      if (!('malformed' in heard)) return heard
      const { malformed: reason, ...origin } = heard
      onEvent({ type: 'ingest_malformed', reason, ...origin })
      return undefined
    },
    onEvent,
  })
  return {
    broker,
    intake,
    async close() {
      ingest.close()
      intake.close()
      await broker.close()
    },
  }
}
