/** The channels of the fleet: kept in Redis for all instances, or in memory for one. */
import {
  createMemoryBroker,
  type Broker,
  type BrokerEvent,
  type ChannelClass,
  type ChannelKind,
} from '@gw/pubsub'
import { createIngest, createRedisBroker } from '@gw/pubsub/redis'
import type { RedisClients } from './redis.ts'
import { parseIngestEnvelope } from './services/ingest-envelope.ts'

/**
 * What each kind of channel keeps for those who missed something. A table or the lobby is a state: the latest tells all.
 * Chat's own history lives in `@gw/chat`; the log here only bridges reconnects.
 */
const channelClasses: readonly ChannelClass[] = [
  { prefix: 'table:', kind: 'state', historySize: 200, historyMaxAgeMs: 10 * 60_000 },
  { prefix: 'chat:', kind: 'event', historySize: 500, historyMaxAgeMs: 60 * 60_000 },
  { prefix: 'lobby', kind: 'state', historySize: 20, historyMaxAgeMs: 10 * 60_000 },
  { prefix: 'user:', kind: 'event', historySize: 100, historyMaxAgeMs: 10 * 60_000 },
  { prefix: 'presence:', kind: 'state', historySize: 1, historyMaxAgeMs: 10 * 60_000 },
  { prefix: 'typing:', kind: 'ephemeral', historySize: 0, historyMaxAgeMs: 0 },
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
  readonly instanceId: string
  readonly onEvent: (event: BrokerEvent) => void
}

export interface Messaging {
  readonly broker: Broker
  close(): Promise<void>
}

export function createMessaging({ redis, prefix, instanceId, onEvent }: MessagingOptions): Messaging {
  if (!redis) {
    const broker = createMemoryBroker({ classes: channelClasses, onEvent })
    return { broker, close: () => broker.close() }
  }
  const broker = createRedisBroker({
    client: redis.commands,
    prefix,
    classes: channelClasses,
    onEvent,
  })
  const ingest = createIngest({
    client: redis.commands,
    channel: ingestChannel,
    broker,
    parse(raw) {
      const publication = parseIngestEnvelope(raw)
      return publication?.sourceId === instanceId ? undefined : publication
    },
    onEvent,
  })
  return {
    broker,
    async close() {
      ingest.close()
      await broker.close()
    },
  }
}
