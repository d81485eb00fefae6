import { describe, expect, it } from 'vitest'
import {
  type ConnectionStore,
  createSessions,
  type PresenceChange,
  type PresenceStore,
  type Sessions,
} from '@gw/connections'
import { idsOf, stored } from './connection-store.suite.ts'

/** One instance's stores. */
export interface SessionsPlace extends AsyncDisposable {
  open(instanceId: string): { readonly connections: ConnectionStore; readonly presence: PresenceStore }
}

export interface Opened {
  readonly sessions: Sessions
  readonly changes: PresenceChange[]
  /** Resolves with the first change that follows to this status. */
  readonly next: (status: string) => Promise<PresenceChange>
}

export interface OpenSessionsOptions {
  /** Default 50. */
  readonly sweepMs?: number
  /** Changes that can't be told now. */
  readonly isRefused?: (change: PresenceChange) => boolean
}

/** Sessions of an instance, and the changes they tell. */
export function openSessions(
  stores: ReturnType<SessionsPlace['open']>,
  { sweepMs = 50, isRefused = () => false }: OpenSessionsOptions = {},
): Opened {
  const changes: PresenceChange[] = []
  const waiting: { status: string; resolve: (change: PresenceChange) => void }[] = []
  const sessions = createSessions({
    ...stores,
    sweepMs,
    onChange(change) {
      if (isRefused(change)) throw new Error('not now')
      changes.push(change)
      for (const { status, resolve } of waiting) if (status === change.status) resolve(change)
    },
  })
  return { sessions, changes, next: (status) => new Promise((resolve) => waiting.push({ status, resolve })) }
}

/** What sessions promise on every pair of stores; the grace of `openPlace` is 30 ms. */
export function testSessions(openPlace: () => SessionsPlace): void {
  describe('Sessions', () => {
    it('tells first, away, back and last of a user’s connections, and nothing else', async () => {
      await using place = openPlace()
      const { sessions, changes, next } = openSessions(place.open('a'))
      sessions.open(stored('1', 'u'))
      sessions.open(stored('1', 'u'))
      sessions.open(stored('2', 'u'))
      await sessions.flush()
      expect(await sessions.getSession('u')).toMatchObject({ userId: 'u', status: 'online' })
      expect(idsOf((await sessions.getSession('u')).connections)).toEqual(['1', '2'])
      sessions.setAway('1', true)
      sessions.setAway('2', true)
      await sessions.flush()
      sessions.setAway('2', false)
      await sessions.flush()
      sessions.close('1')
      sessions.close('1')
      await sessions.flush()
      const offline = next('offline')
      sessions.close('2')
      await offline
      await sessions.flush()
      expect(changes.map(({ status }) => status)).toEqual(['online', 'away', 'online', 'offline'])
      const times = changes.map(({ atMs }) => atMs)
      expect(times).toEqual([...new Set(times)].sort((one, other) => one - other))
      expect(sessions.size).toBe(0)
      expect(await sessions.getSession('u')).toEqual({ userId: 'u', status: 'offline', connections: [] })
      await sessions.stop()
    })

    it('tells again what could not be told', async () => {
      await using place = openPlace()
      const tried = new Set<number>()
      const isRefused = ({ atMs }: PresenceChange): boolean => !tried.has(atMs) && tried.add(atMs).has(atMs)
      const { sessions, changes, next } = openSessions(place.open('a'), { isRefused })
      const online = next('online')
      sessions.open(stored('1', 'u'))
      await online
      const offline = next('offline')
      sessions.close('1')
      await offline
      expect(changes.map(({ status, atMs }) => [status, tried.has(atMs)])).toEqual([
        ['online', true],
        ['offline', true],
      ])
      await sessions.stop()
    })

    it('does not tell again what is over', async () => {
      await using place = openPlace()
      const refused: PresenceChange[] = []
      const isRefused = (change: PresenceChange): boolean =>
        change.status === 'online' && refused.push(change) > 0
      const { sessions, changes, next } = openSessions(place.open('a'), { isRefused })
      sessions.open(stored('1', 'u'))
      sessions.setAway('1', false)
      await sessions.flush()
      const away = next('away')
      sessions.setAway('1', true)
      await away
      const before = refused.length
      const offline = next('offline')
      sessions.close('1')
      await offline
      expect(refused).toHaveLength(before)
      expect(changes.map(({ status, previous }) => [previous, status])).toEqual([
        ['online', 'away'],
        ['away', 'offline'],
      ])
      await sessions.stop()
    })

    it('does not flap when a connection is replaced within the grace', async () => {
      await using place = openPlace()
      const { sessions, changes } = openSessions(place.open('a'))
      for (let at = 0; at < 20; at++) {
        sessions.open(stored(String(at), 'u'))
        if (at > 0) sessions.close(String(at - 1))
        await sessions.flush()
      }
      expect(changes.map(({ status }) => status)).toEqual(['online'])
      expect((await sessions.getStatus(['u'])).get('u')).toBe('online')
      await sessions.stop()
    })
  })
}
