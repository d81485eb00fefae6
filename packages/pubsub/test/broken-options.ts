import type { ChannelClass, MemoryBrokerOptions } from '@gw/pubsub'

const event: ChannelClass = { prefix: 'a:', kind: 'event', historySize: 10, historyMaxAgeMs: 1000 }

/** What every broker refuses. */
export const brokenOptions: readonly Omit<MemoryBrokerOptions, 'idleTtlMs' | 'now'>[] = [
  { idempotencyTtlMs: 0 },
  { idempotencyTtlMs: 1000.5 },
  { idempotencyTtlMs: Infinity },
  { pageSize: 0 },
  { pageSize: 2.5 },
  { maxBuffered: 0 },
  { maxBuffered: Number.NaN },
  { lingerMs: Number.NaN },
  { lingerMs: Infinity },
  { classes: [{ ...event, historySize: 0 }] },
  { classes: [{ ...event, historySize: 1e300 }] },
  { classes: [{ ...event, historyMaxAgeMs: 0 }] },
  { classes: [{ ...event, historyMaxAgeMs: Infinity }] },
  { classes: [{ ...event, kind: 'ephemeral', historyMaxAgeMs: Number.NaN }] },
]
