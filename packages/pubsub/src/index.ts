export { createMemoryBroker, type MemoryBrokerOptions } from './memory-broker.ts'
export type {
  Audience,
  Broker,
  BrokerEvent,
  BrokerHealth,
  BrokerStage,
  BrokerStats,
  ChannelMessage,
  Position,
  PublishOptions,
  PublishResult,
  ReadOptions,
  ReadResult,
  Reset,
  ResetReason,
  Subscriber,
  SubscribeOptions,
  Subscription,
} from './broker.ts'
export { type ChannelClass, ChannelClasses, type ChannelKind, defaultChannelClass } from './channel-class.ts'
export type { LocalOptions } from './channel-hub.ts'
export { PubSubError, type PubSubErrorCode } from './errors.ts'
