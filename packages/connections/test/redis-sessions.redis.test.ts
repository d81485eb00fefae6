import { createLink, startRedis } from '@gw/testing'
import { Redis } from 'ioredis'
import { describe, expect, inject, it } from 'vitest'
import { createSessions } from '@gw/connections'
import { type ConnectionsRedis, RedisPresenceStore } from '@gw/connections/redis'
import { idsOf, stored } from './connection-store.suite.ts'
import { openSessions, type SessionsPlace, testSessions } from './sessions.suite.ts'
import { openRedisPlace, until } from './store-place.ts'

const leaseMs = 1000

interface OpenOptions {
  /** Stands in for an instance's own client. */
  readonly redis?: ConnectionsRedis
  readonly leaseMs?: number
  readonly timeoutMs?: number
}

interface RedisSessionsPlace extends SessionsPlace {
  readonly prefix: string
  client(url?: string): Redis
  open(instanceId: string, options?: OpenOptions): ReturnType<SessionsPlace['open']>
}

/** A place whose instances share a Redis. */
function openPlace(url: string = inject('redisUrl')): RedisSessionsPlace {
  const place = openRedisPlace(url)
  return {
    prefix: place.prefix,
    client: (target) => place.client(target),
    open(instanceId, options = {}) {
      const { redis = place.client(), timeoutMs = 300 } = options
      const presence = new RedisPresenceStore({ redis, prefix: `${place.prefix}:p`, graceMs: 30, timeoutMs })
      const connections = place.open(instanceId, { leaseMs, ...options, redis, timeoutMs })
      return { connections, presence }
    },
    [Symbol.asyncDispose]: () => place[Symbol.asyncDispose](),
  }
}

/** Makes all of a place's keys so much older. */
async function pass(ms: number, place: RedisSessionsPlace): Promise<void> {
  const redis = place.client()
  for (const key of await redis.keys(`${place.prefix}*`)) {
    if (key.endsWith('{instances}'))
      for (const life of await redis.zrange(key, '0', '-1')) await redis.zincrby(key, -ms, life)
    await redis.pexpire(key, (await redis.pttl(key)) - ms)
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
    const victim = createSessions({ ...place.open('victim', { redis: dying }), sweepMs: 3_600_000 })
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

  it('end also when all instances died and the next one starts 50 minutes later', async () => {
    await using place = openPlace()
    const dying = new Redis(inject('redisUrl'))
    const victim = createSessions({ ...place.open('victim', { redis: dying }), sweepMs: 3_600_000 })
    victim.open(stored('1', 'u'))
    await victim.flush()
    dying.disconnect()
    await pass(50 * 60_000, place)
    const { sessions, changes, next } = openSessions(place.open('next'))
    const offline = next('offline')
    // The user came back meanwhile: what is left of the old socket must not outlive the new one.
    sessions.open(stored('2', 'u'))
    sessions.close('2')
    await offline
    expect(changes).toMatchObject([{ previous: 'online', status: 'offline' }])
    await Promise.all([victim.stop(), sessions.stop()])
  })

  it.each([
    // What it tells again after that must not be what mends it.
    { when: 'the first portion', sweepMs: 3_600_000 },
    { when: 'having looked for a connection', sweepMs: 200 },
  ])(
    'stay online when their instance comes back while another cleans up behind it: after $when',
    async (at) => {
      await using place = openPlace()
      await using link = await createLink({ target: inject('redisUrl') })
      const storesOfA = place.open('a', { redis: place.client(link.url), leaseMs: 2000 })
      const storesOfB = place.open('b', { leaseMs: 2000, timeoutMs: 2000 })
      const a = openSessions(storesOfA, at)
      const users = Array.from({ length: 150 }, (_, index) => `u${index}`)
      for (const user of users) a.sessions.open(stored(user, user))
      await a.sessions.flush()
      const rebuilt = new Promise<void>((resolve) => storesOfA.connections.listen({ onRebuilt: resolve }))
      const comeBack = async (): Promise<void> => {
        link.restore()
        await rebuilt
        await a.sessions.flush()
      }
      const { presence } = storesOfB
      if (at.when !== 'the first portion') {
        const update = presence.update.bind(presence)
        presence.update = async (offline) => {
          await comeBack()
          return update(offline)
        }
      }
      const b = createSessions({
        ...storesOfB,
        ...(at.when === 'the first portion' && { onReaped: comeBack }),
      })
      // Called when the sessions are done with the portion.
      const done = new Promise<void>((resolve) => storesOfB.connections.listen({ onReaped: () => resolve() }))
      link.cut()
      await done
      /** Nobody's grace is running. */
      const areOnline = async (): Promise<boolean> => {
        const results = await Promise.all(users.map(async (user) => presence.settle(user)))
        return results.every(
          ({ status, settleAfterMs }) => status === 'online' && settleAfterMs === undefined,
        )
      }
      if (at.when === 'the first portion') expect(await areOnline()).toBe(true)
      else await until(areOnline)
      await Promise.all([a.sessions.stop(), b.stop()])
    },
  )

  it('leave to others what is not cleaned up when an instance stops', async () => {
    await using place = openPlace()
    // Nothing comes twice because the machine is slow.
    const times = { leaseMs: 2000, timeoutMs: 2000 }
    const dying = new Redis(inject('redisUrl'))
    const victim = createSessions({ ...place.open('victim', { redis: dying, ...times }), sweepMs: 3_600_000 })
    // More than one portion.
    const users = Array.from({ length: 250 }, (_, index) => `u${index}`)
    for (const user of users) victim.open(stored(user, user))
    await victim.flush()
    const heard: string[] = []
    const stores = place.open('b', times)
    const stopped = Promise.withResolvers<void>()
    const b = createSessions({
      ...stores,
      onReaped(lost) {
        heard.push(...idsOf(lost))
        void b
          .stop()
          .then(async () => stores.connections.close())
          .then(stopped.resolve)
      },
    })
    dying.disconnect()
    await stopped.promise
    expect(heard.length).toBeLessThan(users.length)
    const storesOfC = place.open('c', times)
    const c = createSessions({
      ...storesOfC,
      sweepMs: 50,
      onReaped: (lost) => void heard.push(...idsOf(lost)),
    })
    await until(async () => [...(await c.getStatus(users)).values()].every((status) => status === 'offline'))
    expect(heard.sort()).toEqual(users.sort())
    await Promise.all([victim.stop(), c.stop()])
  })

  it('do not tell again what another instance has told the end of', async () => {
    await using place = openPlace()
    let isAway = true
    const stores = place.open('a')
    const a = openSessions(stores, { isRefused: () => isAway })
    const b = openSessions(place.open('b'))
    a.sessions.open(stored('1', 'u'))
    await a.sessions.flush()
    b.sessions.open(stored('2', 'u'))
    await b.sessions.flush()
    a.sessions.setAway('1', true)
    await a.sessions.flush()
    b.sessions.setAway('2', true)
    await b.sessions.flush()
    isAway = false
    const swept = Promise.withResolvers<void>()
    const { presence } = stores
    const overdue = presence.overdue.bind(presence)
    let sweeps = 0
    presence.overdue = async () => {
      if (++sweeps === 2) swept.resolve()
      return overdue()
    }
    await swept.promise
    expect([a.changes, b.changes].map((all) => all.map(({ status }) => status))).toEqual([[], ['away']])
    await Promise.all([a.sessions.stop(), b.sessions.stop()])
  })

  it('tell what nobody could be told also when Redis loses everything meanwhile', async () => {
    await using server = await startRedis()
    await using place = openPlace(server.url)
    let isAway = true
    const stores = place.open('a')
    const a = openSessions(stores, { isRefused: () => isAway })
    a.sessions.open(stored('1', 'u'))
    await a.sessions.flush()
    const rebuilt = new Promise<void>((resolve) => stores.connections.listen({ onRebuilt: resolve }))
    await server.restart()
    await rebuilt
    const online = a.next('online')
    isAway = false
    await online
    await a.sessions.flush()
    expect(a.changes).toMatchObject([{ previous: 'offline', status: 'online' }])
    await a.sessions.stop()
  })
})
