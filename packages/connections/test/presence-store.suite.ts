import { describe, expect, it } from 'vitest'
import type { PresenceResult, PresenceStatus, PresenceStore, PresenceUpdate } from '@gw/connections'

/** What every `PresenceStore` promises. */
export function testPresenceStore(open: (graceMs: number) => PresenceStore): void {
  const updated = (
    store: PresenceStore,
    [connectionId, status, rest]: readonly [string, PresenceStatus, Partial<PresenceUpdate>?],
  ): Promise<PresenceResult> => store.update({ userId: 'u', connectionId, status, ...rest })

  /** Settles as soon as the grace allows it. */
  const settled = async (store: PresenceStore): Promise<PresenceResult> => {
    for (;;) {
      const result = await store.settle('u')
      if (result.settleAfterMs === undefined) return result
      const { settleAfterMs } = result
      await new Promise((resolve) => setTimeout(resolve, settleAfterMs))
    }
  }

  describe('PresenceStore', () => {
    it('derives the status from all connections, and tells each change once', async () => {
      const store = open(0)
      const steps = [
        ['1', 'away', 'away'],
        ['2', 'online', 'online'],
        ['2', 'online', undefined],
        ['1', 'online', undefined],
        ['2', 'away', undefined],
        ['1', 'offline', 'away'],
        ['1', 'offline', undefined],
        ['2', 'offline', 'offline'],
        ['2', 'offline', undefined],
        ['3', 'online', 'online'],
      ] as const
      const heard: (string | undefined)[] = []
      const times: number[] = []
      for (const [id, status] of steps) {
        const { change } = await updated(store, [id, status])
        heard.push(change?.status)
        if (change !== undefined) times.push(change.atMs)
      }
      expect(heard).toEqual(steps.map(([, , change]) => change))
      expect(times).toEqual([...new Set(times)].sort((one, other) => one - other))
      expect([...(await store.getStatus(['u', 'v']))]).toEqual([
        ['u', 'online'],
        ['v', 'offline'],
      ])
    })

    it('keeps the status through the grace: who comes back in time never left', async () => {
      const store = open(60_000)
      await updated(store, ['1', 'online'])
      const left = await updated(store, ['1', 'offline'])
      expect(left).toEqual({ status: 'online', settleAfterMs: expect.any(Number) })
      expect((await store.settle('u')).settleAfterMs).toBeGreaterThan(59_000)
      expect(await updated(store, ['2', 'online'])).toEqual({ status: 'online' })
      expect(await store.settle('u')).toEqual({ status: 'online' })
    })

    it('is offline after the grace, once, whoever asks', async () => {
      const store = open(30)
      await updated(store, ['1', 'online'])
      await updated(store, ['1', 'offline'])
      const results = await Promise.all([settled(store), settled(store), settled(store)])
      const changes = results.flatMap(({ change }) => (change ? [change] : []))
      expect(changes).toEqual([
        { userId: 'u', status: 'offline', previous: 'online', atMs: expect.any(Number) },
      ])
      expect(results.map(({ status }) => status)).toEqual(['offline', 'offline', 'offline'])
    })

    it('believes the caller about a user that it has lost', async () => {
      const store = open(0)
      expect(await updated(store, ['1', 'online', { known: 'online' }])).toEqual({ status: 'online' })
      const { change } = await updated(store, ['1', 'offline', { known: 'online' }])
      expect(change).toMatchObject({ previous: 'online', status: 'offline' })
    })
  })
}
