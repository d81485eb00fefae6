/** What every ChatStore promises. Each implementation's test file runs this suite. */
import { assert, asyncProperty, constantFrom, integer, oneof, array, record, constant } from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ChatMessage, ChatRetention, ChatStore } from '@gw/chat'

/** A store of its own (own prefix, own memory) on the clock given. */
export type StoreFactory = (options: ChatRetention & { readonly now: () => number }) => ChatStore

const roomId = 'room}1{ é'

function line(id: string | number, text = `text ${id}`): ChatMessage {
  return { id: String(id), userId: 'alice', username: 'Alice', text, ts: '2026-11-22T09:48:50.453Z' }
}

function ids(messages: readonly ChatMessage[]): string[] {
  return messages.map(({ id }) => id)
}

async function fill(store: ChatStore, count: number): Promise<void> {
  for (let id = 1; id <= count; id++) await store.save({ roomId, message: line(id) })
}

export function chatStoreContract(name: string, create: StoreFactory): void {
  describe(`${name} as a ChatStore`, () => {
    test('gives back what was saved, oldest first, as it was', async () => {
      const store = create({ now: () => 1000 })
      const odd = line('odd', 'quote " brace { 🂡 \u0000 %d \\n ç')
      await store.save({ roomId, message: line(1) })
      await store.save({ roomId, message: odd })
      expect(await store.read({ roomId, limit: 10 })).toEqual({
        messages: [line(1), odd],
        more: false,
        cursorFound: true,
      })
    })

    test('has nothing of a room that nobody wrote to', async () => {
      const store = create({ now: () => 1000 })
      expect(await store.read({ roomId, limit: 10 })).toEqual({
        messages: [],
        more: false,
        cursorFound: true,
      })
      expect(await store.trim(roomId)).toBe(0)
      expect(await store.delete(roomId, '1')).toBe('not_found')
    })

    test('pages join exactly, both ways', async () => {
      const store = create({ now: () => 1000 })
      await fill(store, 7)
      const newest = await store.read({ roomId, limit: 3 })
      expect([ids(newest.messages), newest.more]).toEqual([['5', '6', '7'], true])
      const older = await store.read({ roomId, limit: 3, before: '5' })
      expect([ids(older.messages), older.more]).toEqual([['2', '3', '4'], true])
      const oldest = await store.read({ roomId, limit: 3, before: '2' })
      expect([ids(oldest.messages), oldest.more]).toEqual([['1'], false])
      const next = await store.read({ roomId, limit: 3, after: '1' })
      expect([ids(next.messages), next.more]).toEqual([['2', '3', '4'], true])
      const last = await store.read({ roomId, limit: 3, after: '4' })
      expect([ids(last.messages), last.more]).toEqual([['5', '6', '7'], false])
    })

    test('keeps a retried message once and gives the first one back', async () => {
      const store = create({ now: () => 1000 })
      const first = await store.save({ roomId, message: line(1), idempotencyKey: 'k' })
      const again = await store.save({ roomId, message: line(2), idempotencyKey: 'k' })
      expect([first, again]).toEqual([
        { message: line(1), duplicate: false },
        { message: line(1), duplicate: true },
      ])
      expect(await store.save({ roomId, message: line(1) })).toEqual({ message: line(1), duplicate: true })
      expect((await store.save({ roomId: 'other', message: line(2), idempotencyKey: 'k' })).duplicate).toBe(
        false,
      )
      expect(ids((await store.read({ roomId, limit: 9 })).messages)).toEqual(['1'])
    })

    test('keeps one of many that arrive at once under one key', async () => {
      const store = create({ now: () => 1000 })
      const saves = Array.from({ length: 20 }, (_, n) =>
        store.save({ roomId, message: line(n), idempotencyKey: 'k' }),
      )
      const results = await Promise.all(saves)
      expect(results.filter(({ duplicate }) => !duplicate)).toHaveLength(1)
      expect(new Set(results.map(({ message }) => message.id)).size).toBe(1)
      expect((await store.read({ roomId, limit: 99 })).messages).toHaveLength(1)
    })

    test('shows nothing older than the retention, by the age of each message', async () => {
      let now = 10_000
      const store = create({ now: () => now, retentionMs: 5000 })
      await store.save({ roomId, message: line(1) })
      now = 14_000
      await store.save({ roomId, message: line(2) })
      now = 14_999
      expect(ids((await store.read({ roomId, limit: 9 })).messages)).toEqual(['1', '2'])
      now = 15_000
      expect(ids((await store.read({ roomId, limit: 9 })).messages)).toEqual(['2'])
      expect(await store.trim(roomId)).toBe(1)
      expect(await store.trim(roomId)).toBe(0)
      now = 19_000
      expect(await store.read({ roomId, limit: 9 })).toEqual({ messages: [], more: false, cursorFound: true })
    })

    test('keeps the newest up to the cap, also a long way over it', async () => {
      const clock = { now: () => 1000 }
      const store = create({ ...clock, maxMessages: 3 })
      await fill(store, 250)
      const page = await store.read({ roomId, limit: 100 })
      expect([ids(page.messages), page.more]).toEqual([['248', '249', '250'], false])
    })

    test('says when a cursor is gone: nothing before it, everything after it', async () => {
      const store = create({ now: () => 1000, maxMessages: 2 })
      await fill(store, 4)
      expect(await store.read({ roomId, limit: 9, before: '1' })).toEqual({
        messages: [],
        more: false,
        cursorFound: false,
      })
      const after = await store.read({ roomId, limit: 1, after: '1' })
      expect([ids(after.messages), after.more, after.cursorFound]).toEqual([['3'], true, false])
    })

    test('deletes once, tells a retry, and the place still works as a cursor', async () => {
      const store = create({ now: () => 1000 })
      await fill(store, 5)
      expect(await store.delete(roomId, '3')).toBe('deleted')
      expect(await store.delete(roomId, '3')).toBe('already_deleted')
      expect(ids((await store.read({ roomId, limit: 9 })).messages)).toEqual(['1', '2', '4', '5'])
      expect(ids((await store.read({ roomId, limit: 9, before: '3' })).messages)).toEqual(['1', '2'])
      const after = await store.read({ roomId, limit: 1, after: '3' })
      expect([ids(after.messages), after.more, after.cursorFound]).toEqual([['4'], true, true])
    })

    test('fills a page over deleted places', async () => {
      const store = create({ now: () => 1000 })
      await fill(store, 30)
      for (let id = 5; id <= 29; id++) await store.delete(roomId, String(id))
      const page = await store.read({ roomId, limit: 3 })
      expect([ids(page.messages), page.more]).toEqual([['3', '4', '30'], true])
      const next = await store.read({ roomId, limit: 2, after: '4' })
      expect([ids(next.messages), next.more]).toEqual([['30'], false])
    })

    test('gives a deleted message back to its own retry, without bringing it back', async () => {
      const store = create({ now: () => 1000 })
      await store.save({ roomId, message: line(1), idempotencyKey: 'k' })
      await store.delete(roomId, '1')
      expect(await store.save({ roomId, message: line(2), idempotencyKey: 'k' })).toEqual({
        message: line(1),
        duplicate: true,
        gone: true,
      })
      expect(await store.save({ roomId, message: line(1) })).toEqual({
        message: line(1),
        duplicate: true,
        gone: true,
      })
      expect((await store.read({ roomId, limit: 9 })).messages).toEqual([])
    })

    test('says that a retried message was trimmed', async () => {
      const store = create({ now: () => 1000, maxMessages: 2 })
      const first = line(1)
      await store.save({ roomId, message: first, idempotencyKey: 'k' })
      await store.save({ roomId, message: line(2) })
      const retry = { roomId, message: line(9), idempotencyKey: 'k' }
      expect(await store.save(retry)).toEqual({ message: line(1), duplicate: true })
      await store.save({ roomId, message: line(3) })
      for (const message of [line(9), first])
        expect(await store.save({ ...retry, message })).toEqual({
          message: first,
          duplicate: true,
          gone: true,
        })
    })

    test('keeps the place of a deleted message until it is too old itself, also as the oldest of its room', async () => {
      let now = 10_000
      const store = create({ now: () => now, retentionMs: 5000 })
      await store.save({ roomId, message: line(1) })
      expect(await store.delete(roomId, '1')).toBe('deleted')
      now = 14_999
      await store.save({ roomId, message: line(2) })
      expect(await store.trim(roomId)).toBe(0)
      expect(await store.delete(roomId, '1')).toBe('already_deleted')
      expect(ids((await store.read({ roomId, limit: 9, after: '1' })).messages)).toEqual(['2'])
      now = 15_000
      expect(await store.trim(roomId)).toBe(0)
      expect(await store.delete(roomId, '1')).toBe('not_found')
    })

    test('counts the places of deleted messages to the cap', async () => {
      const store = create({ now: () => 1000, maxMessages: 2 })
      await fill(store, 2)
      await store.delete(roomId, '1')
      await store.save({ roomId, message: line(3) })
      expect(await store.delete(roomId, '1')).toBe('not_found')
      expect(ids((await store.read({ roomId, limit: 9 })).messages)).toEqual(['2', '3'])
    })

    test('pages of any size walk a room of any history exactly once', async () => {
      const step = oneof(
        record({ type: constant('save' as const) }),
        record({ type: constant('delete' as const), id: integer({ min: 1, max: 40 }) }),
      )
      const walk = record({
        steps: array(step, { maxLength: 40 }),
        limit: integer({ min: 1, max: 7 }),
        direction: constantFrom('before' as const, 'after' as const),
      })
      let run = 0
      await assert(
        asyncProperty(walk, async ({ steps, limit, direction }) => {
          const store = create({ now: () => 1000, maxMessages: 15 })
          const room = `walk ${run++}`
          const marker = line(0)
          let saved = 0
          for (const action of steps) {
            if (action.type === 'save') await store.save({ roomId: room, message: line(++saved) })
            else await store.delete(room, String(action.id))
          }
          await store.save({ roomId: room, message: marker })
          const whole = ids((await store.read({ roomId: room, limit: 99 })).messages)
          const seen: string[] = []
          let cursor = direction === 'before' ? '0' : (whole[0] ?? '0')
          for (let more = true; more;) {
            const page = await store.read({ roomId: room, limit, [direction]: cursor })
            more = page.more
            if (direction === 'before') seen.unshift(...ids(page.messages))
            else seen.push(...ids(page.messages))
            cursor = (direction === 'before' ? page.messages[0] : page.messages.at(-1))?.id ?? cursor
          }
          expect(seen).toEqual(direction === 'before' ? whole.slice(0, -1) : whole.slice(1))
        }),
        { numRuns: 40 },
      )
    })
  })
}
