import { startRedis } from '@gw/testing'
import { Redis } from 'ioredis'
import { describe, expect, inject, it } from 'vitest'
import { createSessions } from '@gw/connections'
import { type ConnectionsRedis, RedisPresenceStore } from '@gw/connections/redis'
import { idsOf, stored } from './connection-store.suite.ts'
import { openSessions, type SessionsPlace, testSessions } from './sessions.suite.ts'
import { openRedisPlace } from './store-place.ts'

const leaseMs = 1000

/** A place whose instances share a Redis; `redis` stands in for an instance's own client. */
function openPlace(
  url: string = inject('redisUrl'),
): SessionsPlace & { open(instanceId: string, redis?: ConnectionsRedis): ReturnType<SessionsPlace['open']> } {
  const place = openRedisPlace(url)
  return {
    open(instanceId: string, redis: ConnectionsRedis = place.client()) {
      const presence = new RedisPresenceStore({
        redis,
        prefix: `${place.prefix}:p`,
        graceMs: 30,
        timeoutMs: 300,
      })
      return { connections: place.open(instanceId, { redis, leaseMs, timeoutMs: 300 }), presence }
    },
    [Symbol.asyncDispose]: () => place[Symbol.asyncDispose](),
  }
}

testSessions(() => openPlace())

describe('sessions of several instances', () => {
  it('tell each change on one instance only', async () => {
    await using place = openPlace()
    const a = openSessions(place.open('a'))
    const b = openSessions(place.open('b'))
    a.sessions.open(stored('1', 'u'))
    await a.sessions.flush()
    b.sessions.open(stored('2', 'u'))
    await b.sessions.flush()
    a.sessions.close('1')
    await a.sessions.flush()
    expect((await a.sessions.getSession('u')).status).toBe('online')
    expect(idsOf((await a.sessions.getSession('u')).connections)).toEqual(['2'])
    const offline = b.next('offline')
    b.sessions.close('2')
    await offline
    await b.sessions.flush()
    expect(a.changes.map(({ status }) => status)).toEqual(['online'])
    expect(b.changes.map(({ status }) => status)).toEqual(['offline'])
    await Promise.all([a.sessions.stop(), b.sessions.stop()])
  })

  it('make users of a killed instance offline within lease and grace, once, and not those who came back', async () => {
    await using place = openPlace()
    const dying = new Redis(inject('redisUrl'))
    const victim = createSessions({ ...place.open('victim', dying), sweepMs: 3_600_000 })
    victim.open(stored('1', 'left'))
    victim.open(stored('2', 'back'))
    await victim.flush()
    const survivors = ['a', 'b'].map((name) => openSessions(place.open(name)))
    const [a, b] = survivors
    if (a === undefined || b === undefined) throw new Error('There are two')
    const offline = Promise.race([a.next('offline'), b.next('offline')])
    dying.disconnect()
    const diedAtMs = performance.now()
    a.sessions.open(stored('3', 'back'))
    expect(await offline).toMatchObject({ userId: 'left', previous: 'online' })
    expect(performance.now() - diedAtMs).toBeLessThan(leaseMs + 30 + 2500)
    await Promise.all(survivors.map(async ({ sessions }) => sessions.flush()))
    const changes = survivors.flatMap((survivor) =>
      survivor.changes.map(({ userId, status }) => [userId, status]),
    )
    expect(changes).toEqual([['left', 'offline']])
    expect([...(await a.sessions.getStatus(['left', 'back']))]).toEqual([
      ['left', 'offline'],
      ['back', 'online'],
    ])
    await Promise.all([victim, a.sessions, b.sessions].map(async (sessions) => sessions.stop()))
  })

  it('are whole again after Redis lost everything, and tell no change that did not happen', async () => {
    await using server = await startRedis()
    await using place = openPlace(server.url)
    const stores = place.open('a')
    const { sessions, changes } = openSessions(stores)
    for (let at = 0; at < 300; at++) sessions.open(stored(String(at), `u${at}`))
    await sessions.flush()
    expect(changes).toHaveLength(300)
    const rebuilt = new Promise<void>((resolve) => stores.connections.listen({ onRebuilt: resolve }))
    await server.restart()
    await rebuilt
    const users = Array.from({ length: 300 }, (_, at) => `u${at}`)
    let online = 0
    while (online < 300) {
      await sessions.flush()
      const statuses = await sessions.getStatus(users).catch(() => new Map<string, string>())
      online = [...statuses.values()].filter((status) => status === 'online').length
    }
    expect(changes).toHaveLength(300)
    await sessions.stop()
  })
})
