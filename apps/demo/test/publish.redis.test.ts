import type { ProvidedRedis } from '@gw/testing'
import { Redis } from 'ioredis'
import { describe, expect, inject, it } from 'vitest'
import * as z from 'zod'
import { startedHand, startTestPlatform } from './test-platform.ts'

const envelopeSchema = z.object({
  channel: z.enum(['table', 'lobby']),
  tableId: z.string(),
  payload: z.record(z.string(), z.unknown()),
  sourceId: z.literal('game-service'),
})

/** Reads what comes in on the gateway's ingest channel from now on, one parsed envelope at a time. */
function ingested(redis: Redis): () => Promise<z.infer<typeof envelopeSchema>> {
  const waiting: string[] = []
  let wake = (): void => {}
  redis.on('message', (_channel: string, message: string) => {
    waiting.push(message)
    wake()
  })
  return async () => {
    for (;;) {
      const message = waiting.shift()
      const envelope = envelopeSchema.safeParse(message === undefined ? null : JSON.parse(message))
      if (envelope.success) return envelope.data
      if (message === undefined) await new Promise<void>((resolve) => (wake = resolve))
    }
  }
}

const url: ProvidedRedis['redisUrl'] = inject('redisUrl')

describe('publication through Redis', () => {
  it('sends the envelope that gateways know, with a table shaped like the platform sends it', async () => {
    const redis = new Redis(url)
    await redis.subscribe('gateway:ws:events')
    const read = ingested(redis)
    await using t = await startTestPlatform({ redisUrl: url })
    const tableId = await startedHand(t)
    const { hand } = (await t.game.getTableState({ tableId })).state ?? {}
    const handId = hand?.handId ?? ''
    let lobbies = 0
    let snapshot: unknown = null
    while (snapshot === null) {
      const { channel, tableId: about, payload } = await read()
      if (channel === 'lobby' && JSON.stringify(payload).includes(tableId)) lobbies++
      if (about === tableId && JSON.stringify(payload).includes(handId)) snapshot = payload
    }
    expect(lobbies).toBeGreaterThan(0)
    const iso = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    const blind = (seatId: number, amount: number) => ({
      actionId: expect.any(String),
      handId,
      seatId,
      userId: ['alice', 'bob'][seatId],
      type: 'POST_BLIND',
      amount,
      timestamp: iso,
    })
    const empty = (seatId: number) => ({ seatId, userId: null, stack: 0, status: 'EMPTY', holeCards: null })
    expect(snapshot).toEqual({
      type: 'TableSnapshot',
      tableState: {
        tableId,
        name: 'Duel',
        ownerId: 'alice',
        config: {
          smallBlind: 5,
          bigBlind: 10,
          ante: 0,
          maxPlayers: 6,
          startingStack: 200,
          turnTimerSeconds: 20,
        },
        status: 'PLAYING',
        hand: {
          handId,
          tableId,
          street: 'PREFLOP',
          communityCards: [],
          pots: [
            { amount: 10, eligibleSeats: [0, 1], eligibleSeatIds: [0, 1] },
            { amount: 5, eligibleSeats: [0], eligibleSeatIds: [0] },
          ],
          currentBet: 10,
          minRaise: 10,
          turn: 1,
          lastAggressor: 0,
          actions: [blind(1, 5), blind(0, 10)],
          rakeAmount: 0,
          startedAt: iso,
          endedAt: null,
        },
        version: 5,
        seats: [
          { seatId: 0, userId: 'alice', stack: 190, status: 'ACTIVE', holeCards: null },
          { seatId: 1, userId: 'bob', stack: 195, status: 'ACTIVE', holeCards: null },
          ...[2, 3, 4, 5].map(empty),
        ],
        spectators: [],
        updatedAt: iso,
        button: 1,
      },
    })
    redis.disconnect()
  })

  it('keeps playing while Redis cannot be reached', async () => {
    await using t = await startTestPlatform({ redisUrl: 'redis://127.0.0.1:9' })
    const tableId = await startedHand(t)
    expect((await t.game.getTableState({ tableId })).state?.hand?.street).toBe('PREFLOP')
    await expect.poll(() => t.events.some(({ what }) => what === 'publish retried')).toBe(true)
  })
})
