import { describe, expect, it } from 'vitest'
import type { ConnectionStore, LocatedConnection, StoredConnection } from '@gw/connections'
import type { StorePlace } from './store-place.ts'

export const stored = (connectionId: string, userId: string): StoredConnection => ({
  connectionId,
  userId,
  connectedAtMs: 1_700_000_000_000,
  metadata: { client: 'web' },
})

export const idsOf = (connections: readonly LocatedConnection[]): string[] =>
  connections.map(({ connectionId }) => connectionId).sort()

/** What every `ConnectionStore` promises. */
export function testConnectionStore(openPlace: () => StorePlace): void {
  describe('ConnectionStore', () => {
    it('finds a saved connection by id, user and channel, and not after it was deleted', async () => {
      await using place = openPlace()
      const store = place.open('a')
      await store.save(stored('1', 'u'))
      await store.save(stored('2', 'u'))
      expect(await store.addChannel('1', 'x')).toBe(true)
      expect(await store.get('1')).toEqual({ ...stored('1', 'u'), instanceId: 'a' })
      expect(idsOf(await store.getByUser('u'))).toEqual(['1', '2'])
      expect(idsOf(await store.getMany(['2', 'nobody', '1']))).toEqual(['1', '2'])
      expect(await store.getMany([])).toEqual([])
      expect(idsOf(await store.getByChannel('x'))).toEqual(['1'])
      expect(await store.delete('1')).toBe(true)
      expect(await store.delete('1')).toBe(false)
      expect(await store.get('1')).toBeUndefined()
      expect(idsOf(await store.getByUser('u'))).toEqual(['2'])
      expect(await store.getByChannel('x')).toEqual([])
    })

    it('keeps channels when a connection is saved again, also as another user', async () => {
      await using place = openPlace()
      const store = place.open('a')
      await store.save(stored('1', 'u'))
      await store.addChannel('1', 'x')
      await store.save(stored('1', 'v'))
      expect(idsOf(await store.getByChannel('x'))).toEqual(['1'])
      expect(await store.getByUser('u')).toEqual([])
      expect(idsOf(await store.getByUser('v'))).toEqual(['1'])
      expect(await store.removeChannel('1', 'x')).toBe(true)
      expect(await store.removeChannel('1', 'x')).toBe(false)
      expect(await store.getByChannel('x')).toEqual([])
    })

    it('knows no channels of a connection that it doesn’t have', async () => {
      await using place = openPlace()
      const store = place.open('a')
      expect(await store.addChannel('1', 'x')).toBe(false)
      expect(await store.getByChannel('x')).toEqual([])
    })

    it.each([
      ['u', 'u1'],
      ['u', 'u"'],
      ['u', 'u\0'],
      ['', '\u0001'],
      ['李雷', '李'],
      ['a{b}c', 'a{b}'],
    ])('never takes the user or channel %j for %j', async (one, other) => {
      await using place = openPlace()
      const store = place.open('a')
      await store.save(stored('1', one))
      await store.save(stored('2', other))
      await store.addChannel('1', one)
      await store.addChannel('2', other)
      expect(idsOf(await store.getByUser(one))).toEqual(['1'])
      expect(idsOf(await store.getByUser(other))).toEqual(['2'])
      expect(idsOf(await store.getByChannel(one))).toEqual(['1'])
      expect(idsOf(await store.getByChannel(other))).toEqual(['2'])
    })

    it('applies what was asked for in the order of the calls', async () => {
      await using place = openPlace()
      const store = place.open('a')
      const done: Promise<unknown>[] = []
      for (let round = 0; round < 50; round++) {
        done.push(store.save(stored('1', 'u')), store.addChannel('1', 'x'))
        if (round < 49) done.push(store.delete('1'))
      }
      await Promise.all(done)
      expect(idsOf(await store.getByUser('u'))).toEqual(['1'])
      expect(idsOf(await store.getByChannel('x'))).toEqual(['1'])
    })

    it('says which instances live', async () => {
      await using place = openPlace()
      const store = place.open('a')
      await store.save(stored('1', 'u'))
      expect(await store.liveInstances()).toEqual(['a'])
      expect(store.instanceCount).toBe(1)
    })

    it('refuses everything after close, which may be called again', async () => {
      await using place = openPlace()
      const store: ConnectionStore = place.open('a')
      await store.save(stored('1', 'u'))
      await store.close()
      await store.close()
      const calls = [
        store.save(stored('1', 'u')),
        store.delete('1'),
        store.addChannel('1', 'x'),
        store.removeChannel('1', 'x'),
        store.get('1'),
        store.getByUser('u'),
        store.getByChannel('x'),
        store.liveInstances(),
      ]
      for (const outcome of await Promise.allSettled(calls))
        expect(outcome).toMatchObject({ reason: { code: 'closed' } })
    })
  })
}
