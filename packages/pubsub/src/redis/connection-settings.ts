import type { ConnectionSettings } from './redis-client.ts'

/** Subscribing again, waiting and sending again are ours: the connection does none of it by itself. */
export const connectionSettings: ConnectionSettings = {
  autoResubscribe: false,
  autoResendUnfulfilledCommands: false,
  enableOfflineQueue: false,
  lazyConnect: false,
  retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt, 6), 1000) * (0.75 + Math.random() / 2),
}
