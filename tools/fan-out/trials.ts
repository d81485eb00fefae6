import type { Trial } from './trial.ts'

/** Until the gateway has given back what a storm of connects left (docs/fan-out.md). */
const settleSeconds = 20

/** In the order of the usual run. */
export const trials: readonly Trial[] = [
  {
    name: 'one-1000',
    about: 'one message at a time to 1,000 receivers',
    contestants: ['rawcast', 'handle', 'ws', 'socket.io', 'gateway'],
    receivers: 1000,
    rooms: 1,
    rate: 50,
    idleSeconds: 0,
  },
  {
    name: 'one-5000',
    about: 'one message at a time to 5,000 receivers',
    contestants: ['rawcast', 'handle', 'ws', 'socket.io', 'gateway'],
    receivers: 5000,
    rooms: 1,
    rate: 10,
    idleSeconds: settleSeconds,
  },
  {
    name: 'bursts',
    about: '400 messages a second to 1,000 receivers',
    contestants: ['rawcast', 'ws', 'socket.io', 'gateway'],
    receivers: 1000,
    rooms: 1,
    rate: 400,
    idleSeconds: 0,
  },
  {
    name: 'observed',
    about: 'one message at a time to 1,000 receivers, with traces and without',
    contestants: ['gateway', 'observed'],
    receivers: 1000,
    rooms: 1,
    rate: 50,
    idleSeconds: 0,
  },
  ...[10, 100, 1000, 10_000].map((receivers): Trial => ({
    name: `flat-${receivers}`,
    about: `one message at a time to ${receivers} receivers`,
    contestants: ['rawcast', 'gateway'],
    receivers,
    rooms: 1,
    rate: Math.min(400, 50_000 / receivers),
    idleSeconds: receivers > 1000 ? settleSeconds : 0,
  })),
  {
    name: 'rooms',
    about:
      '10,000 connections idle, then 3,000 messages a second into 1,000 rooms of 10; bare ws hears them by Redis too',
    contestants: ['ws', 'socket.io', 'gateway'],
    receivers: 10_000,
    rooms: 1000,
    rate: 3000,
    idleSeconds: 30,
  },
]
