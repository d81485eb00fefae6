import { describe, expect, test } from 'vitest'
import { ChatError, MemoryChatStore } from '@gw/chat'
import { chatStoreContract } from './chat-store-contract.ts'

chatStoreContract('MemoryChatStore', (options) => new MemoryChatStore(options))

const message = { id: '1', userId: 'u', username: 'U', text: 't', ts: '2026-11-22T09:48:50.453Z' }

describe('MemoryChatStore', () => {
  test('holds a bounded number of rooms and lets the one written longest ago go', async () => {
    const store = new MemoryChatStore({ maxRooms: 2 })
    for (const roomId of ['a', 'b', 'a', 'c'])
      await store.save({ roomId, message: { ...message, id: roomId + Math.random() } })
    const counts = await Promise.all(['a', 'b', 'c'].map((roomId) => store.read({ roomId, limit: 9 })))
    expect(counts.map(({ messages }) => messages.length)).toEqual([2, 0, 1])
  })

  test('forgets a client message id after its time', async () => {
    let now = 0
    const store = new MemoryChatStore({ now: () => now, idempotencyMs: 100 })
    await store.save({ roomId: 'r', message, idempotencyKey: 'k' })
    now = 100
    const later = await store.save({ roomId: 'r', message: { ...message, id: '2' }, idempotencyKey: 'k' })
    expect(later).toEqual({ message: { ...message, id: '2' }, duplicate: false })
  })

  test.each([{ retentionMs: 0 }, { maxMessages: 1.5 }, { maxRooms: Number.NaN }])(
    'refuses %j at once',
    (options) => {
      expect(() => new MemoryChatStore(options)).toThrow(ChatError)
    },
  )
})
