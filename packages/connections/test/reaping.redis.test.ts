import { createLink } from '@gw/testing'
import { expect, inject, it } from 'vitest'
import { idsOf, stored } from './connection-store.suite.ts'
import { openRedisPlace, until } from './store-place.ts'

const leaseMs = 2000

it.each(['was there before', 'starts just then'])(
  'after an outage longer than the lease one that %s takes nobody for dead, and still finds the dead',
  async (which) => {
    await using place = openRedisPlace(inject('redisUrl'))
    await using linkOfA = await createLink({ target: inject('redisUrl') })
    await using linkOfB = await createLink({ target: inject('redisUrl') })
    const a = place.open('a', { redis: place.client(linkOfA.url), leaseMs, timeoutMs: 300 })
    await a.save(stored('1', 'u'))
    const rebuilt = new Promise<void>((resolve) => a.listen({ onRebuilt: resolve }))
    const [wasThere, hasBeaten] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const openB = () =>
      place.open('b', {
        redis: place.client(linkOfB.url),
        leaseMs,
        timeoutMs: 300,
        onEvent({ type }) {
          if (type === 'unavailable') wasThere.resolve()
          if (type === 'available') hasBeaten.resolve()
        },
      })
    let b = which === 'was there before' ? openB() : undefined
    await b?.save(stored('2', 'v'))
    linkOfA.cut()
    linkOfB.cut()
    if (b !== undefined) await wasThere.promise
    const redis = place.client()
    await until(async () => (await redis.keys(`${place.prefix}*:lease`)).length === 0)
    linkOfB.restore()
    if (b === undefined) {
      const started = openB()
      b = started
      await until(async () =>
        started.save(stored('2', 'v')).then(
          () => true,
          () => false,
        ),
      )
    } else await hasBeaten.promise
    const backAtMs = performance.now()
    const reaped: string[] = []
    const gone = new Promise<void>((resolve) => {
      b?.listen({
        onReaped({ connections }) {
          reaped.push(...idsOf(connections))
          resolve()
        },
      })
    })
    linkOfA.restore()
    await rebuilt
    expect(reaped).toEqual([])
    expect(idsOf(await b.getByUser('u'))).toEqual(['1'])
    linkOfA.cut()
    await gone
    expect(reaped).toEqual(['1'])
    expect(performance.now() - backAtMs).toBeLessThan(leaseMs + 2500)
  },
)
